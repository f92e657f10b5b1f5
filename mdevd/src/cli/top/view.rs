//! What is shown, in which order, and what keys do about it. Pure.

use super::keys::Key;
use super::rates::{DeviceRates, Rates};
use crate::engine::Word;

/// What lines are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Bytes to the guest, largest first.
    #[default]
    Rx,
    /// Bytes from the guest, largest first.
    Tx,
    /// Drops of both directions, largest first.
    Drops,
    /// Names, from A to Z.
    Name,
}

impl Word for Sort {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("rx", Self::Rx),
        ("tx", Self::Tx),
        ("drops", Self::Drops),
        ("name", Self::Name),
    ];
}

/// A line: a device, or one of its queue pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Row<'a> {
    pub(super) name: &'a str,
    pub(super) pair: Option<u16>,
    pub(super) rates: Option<Rates>,
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Draw again.
    Draw,
    /// Ask for queue pairs, or no longer.
    Pairs,
    /// Everything anew: something else wrote to the terminal.
    Clear,
    /// Stop until continued.
    Suspend,
    /// The end.
    Quit,
}

/// Longest filter.
const MAX_FILTER: usize = 64;

/// What the user chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) sort: Sort,
    pub(super) reversed: bool,
    pub(super) filter: String,
    /// The filter is being typed.
    pub(super) typing: bool,
    pub(super) pairs: bool,
    pub(super) help: bool,
    /// Lines above the first that is shown.
    pub(super) above: usize,
}

impl View {
    pub(super) fn new(sort: Sort, filter: String, pairs: bool) -> Self {
        Self {
            sort,
            reversed: false,
            filter,
            typing: false,
            pairs,
            help: false,
            above: 0,
        }
    }

    /// Lines in order.
    pub(super) fn rows<'a>(&self, devices: &'a [DeviceRates]) -> Vec<Row<'a>> {
        let wanted = devices
            .iter()
            .filter(|device| device.name.contains(&self.filter));
        let mut rows: Vec<Row<'a>> = Vec::new();
        for device in wanted {
            let name = device.name.as_str();
            if self.pairs {
                rows.extend(device.pairs.iter().map(|&(pair, rates)| Row {
                    name,
                    pair: Some(pair),
                    rates,
                }));
            } else {
                rows.push(Row {
                    name,
                    pair: None,
                    rates: device.rates,
                });
            }
        }
        let key = |row: &Row<'_>| {
            let rates = row.rates.unwrap_or_default();
            match self.sort {
                Sort::Rx => rates.rx.bytes,
                Sort::Tx => rates.tx.bytes,
                Sort::Drops => rates.rx.drops + rates.tx.drops,
                Sort::Name => 0.0,
            }
        };
        // Lines that are alike stay where they are from one look to the next.
        let by_name = |row: &Row<'a>| (row.name, row.pair);
        rows.sort_by(|a, b| {
            key(b)
                .total_cmp(&key(a))
                .then_with(|| by_name(a).cmp(&by_name(b)))
        });
        if self.reversed {
            rows.reverse();
        }
        rows
    }

    /// What `key` does, with `rows` lines of which `page` fit.
    pub(super) fn press(&mut self, key: Key, rows: usize, page: usize) -> Option<Action> {
        match key {
            Key::Control('c') => return Some(Action::Quit),
            Key::Control('z') => return Some(Action::Suspend),
            Key::Control('l') => return Some(Action::Clear),
            _ if self.typing => return self.type_key(key),
            _ if self.help => {
                self.help = false;
                return Some(if key == Key::Char('q') {
                    Action::Quit
                } else {
                    Action::Draw
                });
            }
            _ => {}
        }
        let last = rows.saturating_sub(page);
        let above = self.above.min(last);
        let step = page.max(1);
        match key {
            Key::Char('q') | Key::Escape => return Some(Action::Quit),
            Key::Char('?' | 'h') => self.help = true,
            Key::Char('/') => self.typing = true,
            Key::Char('s') | Key::Right => self.choose(1),
            Key::Left => self.choose(Sort::WORDS.len() - 1),
            Key::Char('r') => self.reversed = !self.reversed,
            Key::Char('p') => {
                self.pairs = !self.pairs;
                self.above = 0;
                return Some(Action::Pairs);
            }
            Key::Up => self.above = above.saturating_sub(1),
            Key::Down => self.above = (above + 1).min(last),
            Key::PageUp => self.above = above.saturating_sub(step),
            Key::PageDown | Key::Char(' ') => self.above = (above + step).min(last),
            Key::Home => self.above = 0,
            Key::End => self.above = last,
            _ => return None,
        }
        Some(Action::Draw)
    }

    fn choose(&mut self, by: usize) {
        let now = Sort::WORDS.iter().position(|&(_, sort)| sort == self.sort);
        self.sort = Sort::WORDS[(now.unwrap_or(0) + by) % Sort::WORDS.len()].1;
        self.above = 0;
    }

    fn type_key(&mut self, key: Key) -> Option<Action> {
        match key {
            Key::Enter => self.typing = false,
            Key::Escape => {
                self.typing = false;
                self.filter.clear();
            }
            Key::Backspace => {
                self.filter.pop();
            }
            Key::Char(c) if self.filter.len() < MAX_FILTER => self.filter.push(c),
            _ => return None,
        }
        self.above = 0;
        Some(Action::Draw)
    }
}

#[cfg(test)]
mod tests;
