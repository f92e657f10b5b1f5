//! Covering arrays: few rows in which all the same every pair (or triple) of values of different
//! dimensions stands together at least once. A greedy search, the same every time.

use std::collections::BTreeSet;

/// A value of a dimension.
type Choice = (usize, usize);

/// Rows over dimensions with so many values each, in which each combination of values of any
/// `strength` dimensions occurs. A strength of all dimensions is the whole product.
#[must_use]
pub fn rows(levels: &[usize], strength: usize) -> Vec<Vec<usize>> {
    let mut open = combinations(levels, strength.clamp(1, levels.len()));
    let mut rows = Vec::new();
    while let Some(seed) = open.first().cloned() {
        let mut row = vec![None; levels.len()];
        for (dimension, value) in seed {
            row[dimension] = Some(value);
        }
        for dimension in 0..levels.len() {
            if row[dimension].is_some() {
                continue;
            }
            let gain = |value: usize| {
                let fits = |&(d, v): &Choice| row[d] == Some(v) || (d, v) == (dimension, value);
                let here = |c: &&Vec<Choice>| c.contains(&(dimension, value));
                open.iter()
                    .filter(here)
                    .filter(|c| c.iter().all(fits))
                    .count()
            };
            // Values that win nothing take turns, so that none is preferred.
            let turn = |value: usize| {
                (value + levels[dimension] - rows.len() % levels[dimension]) % levels[dimension]
            };
            let best = (0..levels[dimension]).max_by_key(|v| (gain(*v), turn(*v)));
            row[dimension] = best;
        }
        let row: Vec<usize> = row.into_iter().flatten().collect();
        open.retain(|c| !c.iter().all(|&(d, v)| row[d] == v));
        rows.push(row);
    }
    rows
}

/// Every combination of values of any `strength` different dimensions.
fn combinations(levels: &[usize], strength: usize) -> BTreeSet<Vec<Choice>> {
    let mut all = vec![Vec::new()];
    for (dimension, &values) in levels.iter().enumerate() {
        let mut more = Vec::new();
        for partial in all.iter().filter(|p: &&Vec<Choice>| p.len() < strength) {
            for value in 0..values {
                let mut next = partial.clone();
                next.push((dimension, value));
                more.push(next);
            }
        }
        all.extend(more);
    }
    all.into_iter().filter(|c| c.len() == strength).collect()
}

/// Every row there is.
pub fn product(levels: &[usize]) -> Vec<Vec<usize>> {
    levels.iter().fold(vec![Vec::new()], |rows, &values| {
        let longer = rows
            .iter()
            .flat_map(|row| (0..values).map(move |value| [row.as_slice(), &[value]].concat()));
        longer.collect()
    })
}

#[cfg(test)]
mod tests;
