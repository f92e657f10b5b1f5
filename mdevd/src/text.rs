//! Serde by `Display` and `FromStr`, and whole-line renderings of small things.

/// `#[serde(with = "crate::text::as_text")]`: a value is written as its `Display` and read by its `FromStr`.
pub mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes the value's text.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    /// Reads the value back from its text.
    ///
    /// # Errors
    /// The text is not one.
    pub fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr,
        T::Err: Display,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// "1 device", "2 devices".
pub fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// "'a', 'b', 'c' and 2 more".
pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = names.into_iter();
    let first: Vec<_> = names
        .by_ref()
        .take(NAMED)
        .map(|name| format!("'{name}'"))
        .collect();
    let more = match names.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    first.join(", ") + &more
}

/// As many are named in a sentence.
const NAMED: usize = 3;

/// A text as one word of a POSIX shell.
pub fn shell_word(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./=:,@%+".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A text as content or attribute value of XML.
pub fn xml_escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_words_survive_a_shell() {
        for text in [
            "plain",
            "",
            "two words",
            "it's",
            "$HOME `x` \"y\" \\ *",
            "{\"a\":1}",
        ] {
            let out = std::process::Command::new("sh")
                .arg("-c")
                .arg(format!("printf %s {}", shell_word(text)))
                .output()
                .expect("a shell");
            assert_eq!(String::from_utf8_lossy(&out.stdout), text);
        }
        assert_eq!(shell_word("/run/x.sock"), "/run/x.sock");
    }

    #[test]
    fn one_is_not_many() {
        let each = [0, 1, 2].map(|n| counted(n, "device"));
        assert_eq!(each, ["0 devices", "1 device", "2 devices"]);
    }

    #[test]
    fn a_few_names_are_told() {
        assert_eq!(named(["a"]), "'a'");
        assert_eq!(named(["a", "b", "c"]), "'a', 'b', 'c'");
        assert_eq!(named(["a", "b", "c", "d", "e"]), "'a', 'b', 'c' and 2 more");
    }

    #[test]
    fn xml_is_escaped() {
        assert_eq!(xml_escape("a<b>'\"&"), "a&lt;b&gt;&apos;&quot;&amp;");
    }
}
