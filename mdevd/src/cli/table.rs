//! Tables that fit the terminal: texts are cut, then columns left out, numbers never touched.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::terminal::{Terminal, Tone};

/// One cell.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
    right: bool,
}

/// A text.
pub(super) fn text(text: impl Into<String>) -> Cell {
    Cell {
        text: printable(&text.into()),
        tone: Tone::Plain,
        right: false,
    }
}

/// A coloured text.
pub(super) fn toned(tone: Tone, words: impl Into<String>) -> Cell {
    Cell {
        tone,
        ..text(words)
    }
}

/// A number.
pub(super) fn number(number: impl Into<u64>) -> Cell {
    Cell {
        right: true,
        ..text(number.into().to_string())
    }
}

/// A number that was made shorter for people.
pub(super) fn number_text(shown: String) -> Cell {
    Cell {
        right: true,
        ..text(shown)
    }
}

impl Cell {
    /// The same in another colour.
    pub(super) fn toned(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }
}

/// What would move the cursor, or change the order of what stands around it, never reaches a terminal.
pub(super) fn printable(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars()
        .map(|c| if hidden(c) { '\u{fffd}' } else { c })
        .collect()
}

const GAP: usize = 2;
/// No text is cut below this many columns.
const LEAST: usize = 6;
/// Nor below this many while there is something that can be left out instead.
const COMFORTABLE: usize = 12;
/// Rank of a column that is never left out.
pub(super) const KEEP: u8 = 0;

/// A column while its width is being chosen.
struct Column {
    width: usize,
    rank: u8,
    /// Numbers, which are never cut.
    right: bool,
}

impl Column {
    fn at_least(&self, least: usize) -> usize {
        if self.right {
            self.width
        } else {
            self.width.min(least)
        }
    }
}

/// Rows under a heading, cut to the terminal's width: the widest texts give way first.
pub(super) fn table(terminal: Terminal, heading: &[&str], rows: &[Vec<Cell>]) -> String {
    ranked(terminal, heading, &vec![KEEP; heading.len()], rows)
}

/// The same where columns may be left out: those with the highest rank first. A note tells which.
pub(super) fn ranked(
    terminal: Terminal,
    heading: &[&str],
    ranks: &[u8],
    rows: &[Vec<Cell>],
) -> String {
    let mut columns: Vec<Option<Column>> = heading
        .iter()
        .enumerate()
        .map(|(n, name)| {
            let cells = || rows.iter().filter_map(|row| row.get(n));
            let widest = cells().map(|cell| cell.text.width()).max().unwrap_or(0);
            Some(Column {
                width: widest.max(name.width()),
                rank: ranks.get(n).copied().unwrap_or(KEEP),
                right: cells().any(|cell| cell.right),
            })
        })
        .collect();
    if let Some(room) = terminal.width {
        fit(&mut columns, room);
    }
    let head: Vec<Cell> = heading
        .iter()
        .zip(&columns)
        .map(|(name, column)| Cell {
            text: (*name).to_owned(),
            tone: Tone::Head,
            right: column.as_ref().is_some_and(|column| column.right),
        })
        .collect();
    let mut out = String::new();
    for row in std::iter::once(&head).chain(rows) {
        out += &line(terminal, &columns, row);
        out.push('\n');
    }
    let dropped: Vec<&str> = heading
        .iter()
        .zip(&columns)
        .filter_map(|(name, column)| column.is_none().then_some(*name))
        .collect();
    if !dropped.is_empty() {
        let room = terminal.width.unwrap_or_default();
        let note = format!("(no room for {}; --json has all)", dropped.join(", "));
        out += &cut(&note, room.max(LEAST));
        out.push('\n');
    }
    out
}

fn line(terminal: Terminal, columns: &[Option<Column>], row: &[Cell]) -> String {
    let shown: Vec<_> = row
        .iter()
        .zip(columns)
        .filter_map(|(cell, column)| Some((cell, column.as_ref()?)))
        .collect();
    let mut line = String::new();
    for (n, (cell, column)) in shown.iter().enumerate() {
        let last = n + 1 == shown.len();
        let text = cut(&cell.text, column.width);
        let pad = " ".repeat(column.width.saturating_sub(text.width()));
        let painted = terminal.paint(cell.tone, &text);
        match (cell.right, last) {
            (true, _) => line += &format!("{pad}{painted}"),
            (false, true) => line += &painted,
            (false, false) => line += &format!("{painted}{pad}"),
        }
        if !last {
            line += &" ".repeat(GAP);
        }
    }
    line.trim_end().to_owned()
}

/// Leaves columns out until texts of a comfortable width fit, and then cuts the widest texts.
fn fit(columns: &mut [Option<Column>], room: usize) {
    let total = |columns: &[Option<Column>], width: &dyn Fn(&Column) -> usize| {
        let kept: Vec<usize> = columns.iter().flatten().map(width).collect();
        kept.iter().sum::<usize>() + GAP * kept.len().saturating_sub(1)
    };
    while total(columns, &|column| column.at_least(COMFORTABLE)) > room {
        let rank = |column: &Option<Column>| column.as_ref().map_or(KEEP, |column| column.rank);
        match columns.iter_mut().max_by_key(|column| rank(column)) {
            Some(least) if rank(least) != KEEP => *least = None,
            _ => break,
        }
    }
    for least in [COMFORTABLE, LEAST] {
        while total(columns, &|column| column.width) > room {
            let cuttable = columns
                .iter_mut()
                .flatten()
                .filter(|column| !column.right && column.width > least);
            match cuttable.max_by_key(|column| column.width) {
                Some(widest) => widest.width -= 1,
                None => break,
            }
        }
    }
}

/// `text` in at most `width` columns of a terminal.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut taken = 1;
    for c in text.chars() {
        taken += c.width().unwrap_or(0);
        if taken > width {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// `text` in lines that end before `width`, each but the first behind `indent` spaces; words stay whole.
pub(super) fn wrap(text: &str, width: Option<usize>, indent: usize) -> String {
    let Some(room) = width.map(|width| width.saturating_sub(indent).max(COMFORTABLE)) else {
        return text.to_owned();
    };
    let mut out = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        if used > 0 && used + 1 + word.width() > room {
            out.push('\n');
            out += &" ".repeat(indent);
            used = 0;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        out += word;
        used += word.width();
    }
    out
}
