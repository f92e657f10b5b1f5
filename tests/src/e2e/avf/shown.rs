//! What ethtool shows inside a guest.

use crate::vm::Vm;
use anyhow::{Context, Result, ensure};

/// What `ethtool WHAT INTERFACE` says.
pub fn shown(vm: &Vm, what: &str, interface: &str) -> Result<String> {
    vm.run(&format!("ethtool {what} {interface}"))
}

/// The value of a `key: value` line; of several, the last, which is what is set where the first is what could be.
pub fn value<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    let mut found = pairs.filter(|(name, _)| name.trim() == key);
    found.next_back().map(|(_, value)| value.trim())
}

/// Fails unless such lines say this.
pub fn expect(text: &str, wanted: &[(&str, &str)]) -> Result<()> {
    for (key, wanted) in wanted {
        let found = value(text, key);
        ensure!(
            found == Some(wanted),
            "{key} is {found:?} and not {wanted:?} in\n{text}"
        );
    }
    Ok(())
}

/// A number of `ethtool -S`.
pub fn counter(text: &str, key: &str) -> Result<u64> {
    let found = value(text, key).with_context(|| format!("no {key} in\n{text}"))?;
    found.parse().with_context(|| format!("{key}: {found}"))
}

/// The sum over queues of what the driver counts itself: `rx` or `tx`, `packets` or `bytes`.
pub fn summed(text: &str, direction: &str, what: &str) -> Result<u64> {
    Ok(by_queue(text, direction, what)?.iter().sum())
}

/// The same by queue.
pub fn by_queue(text: &str, direction: &str, what: &str) -> Result<Vec<u64>> {
    let mut counts = Vec::new();
    loop {
        let key = format!("{direction}-{}.{what}", counts.len());
        if value(text, &key).is_none() {
            ensure!(!counts.is_empty(), "no {key} in\n{text}");
            return Ok(counts);
        }
        counts.push(counter(text, &key)?);
    }
}

#[cfg(test)]
mod tests;
