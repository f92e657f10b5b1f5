//! "Did you mean": the known word closest to an unknown one.

/// The word of `known` closest to `word`, if it is close enough to be a likely slip.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    let allowed = (length / 3).max(1) + 1;
    known
        .into_iter()
        // Nothing nearer than the lengths are apart: most need not be compared.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= allowed)
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        // Words of a few letters are near to whatever else is short.
        .filter(|&(distance, _)| distance <= allowed && 2 * distance <= length.max(3))
        .min_by_key(|&(distance, candidate)| (distance, candidate.len()))
        .map(|(_, candidate)| candidate)
}

/// `; did you mean 'X'?` or nothing: a tail for a sentence.
pub fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map_or_else(String::new, |near| format!("; did you mean '{near}'?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_leaves_strangers() {
        let known = ["queue-pairs", "uplink", "workers"];
        assert_eq!(nearest("queue-pair", known), Some("queue-pairs"));
        assert_eq!(nearest("wrokers", known), Some("workers"));
        assert_eq!(nearest("zzzzzzzz", known), None);
        assert_eq!(hint("uplnk", known), "; did you mean 'uplink'?");
        assert_eq!(nearest("d9", ["gx", "d9a"]), Some("d9a"));
        assert_eq!(nearest("d9", ["gx", "w2"]), None);
        assert_eq!(hint("", []), "");
    }
}
