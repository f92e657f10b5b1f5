//! Tables that fit the terminal.

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

impl Cell {
    /// The same in another colour.
    pub(super) fn toned(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }
}

/// Control characters never reach a terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

const GAP: usize = 2;
/// No column is cut below this.
const LEAST: usize = 6;

/// Rows under a heading, cut to the terminal's width: the widest columns give way first.
pub(super) fn table(terminal: Terminal, heading: &[&str], rows: &[Vec<Cell>]) -> String {
    let mut widths: Vec<usize> = heading.iter().map(|name| name.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.text.chars().count());
        }
    }
    if let Some(room) = terminal.width {
        shrink(&mut widths, room);
    }
    let numbers: Vec<bool> = (0..heading.len())
        .map(|n| {
            rows.iter()
                .any(|row| row.get(n).is_some_and(|cell| cell.right))
        })
        .collect();
    let head: Vec<Cell> = heading
        .iter()
        .zip(&numbers)
        .map(|(name, &right)| Cell {
            text: (*name).to_owned(),
            tone: Tone::Head,
            right,
        })
        .collect();
    let mut out = String::new();
    for row in std::iter::once(&head).chain(rows) {
        let mut line = String::new();
        let last = row.len().saturating_sub(1);
        for (n, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let shown = cut(&cell.text, width);
            let pad = " ".repeat(width - shown.chars().count());
            let painted = terminal.paint(cell.tone, &shown);
            match (cell.right, n == last) {
                (true, _) => line += &format!("{pad}{painted}"),
                (false, true) => line += &painted,
                (false, false) => line += &format!("{painted}{pad}"),
            }
            if n != last {
                line += &" ".repeat(GAP);
            }
        }
        out += line.trim_end();
        out.push('\n');
    }
    out
}

fn shrink(widths: &mut [usize], room: usize) {
    loop {
        let total: usize = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
        let widest = widths.iter_mut().max().filter(|width| **width > LEAST);
        match widest {
            Some(width) if total > room => *width -= 1,
            _ => return,
        }
    }
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars()
        .take(width.saturating_sub(1))
        .chain(['…'])
        .collect()
}
