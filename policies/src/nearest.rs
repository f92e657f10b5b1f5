//! "Did you mean": the known word closest to an unknown one.

/// `; did you mean 'X'?` where one of `known` is close enough to be what was meant, or nothing.
pub(crate) fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let length = word.chars().count();
    let allowed = ((length / 3).max(1) + 1).min(length.saturating_sub(1));
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|&(distance, _)| distance <= allowed)
        .min_by_key(|&(distance, candidate)| (distance, candidate.len()))
        .map_or_else(String::new, |(_, near)| format!("; did you mean '{near}'?"))
}

/// The beginning of a text that may be long, without line ends.
pub(crate) fn shown(text: &str) -> String {
    let mut chars = text.chars();
    let mut start: String = chars
        .by_ref()
        .take(crate::limits::MAX_SHOWN)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if chars.next().is_some() {
        start.push('…');
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MAX_SHOWN;

    #[test]
    fn slips_are_found_and_strangers_left() {
        let known = ["max-mtu", "min-mtu", "doorbells"];
        assert_eq!(hint("max-mut", known), "; did you mean 'max-mtu'?");
        assert_eq!(hint("xyzzy", known), "");
        assert_eq!(hint("m", ["mq"]), "", "whatever is short is near");
        assert_eq!(hint("", []), "");
    }

    #[test]
    fn long_texts_are_cut_at_the_limit() {
        assert_eq!(shown(&"ä".repeat(MAX_SHOWN)), "ä".repeat(MAX_SHOWN));
        let cut = shown(&"ä".repeat(MAX_SHOWN + 1));
        assert_eq!(cut, "ä".repeat(MAX_SHOWN) + "…");
        assert_eq!(shown("a\nb"), "a b");
    }
}
