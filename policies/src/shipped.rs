//! The profiles that come with this crate.

use crate::profile::Profile;

/// Name and text of every shipped profile, comments included. Each allows all that the one before it
/// allows.
const TEXTS: [(&str, &str); 5] = [
    ("container", include_str!("../profiles/container.toml")),
    ("tenant", include_str!("../profiles/tenant.toml")),
    ("trusted", include_str!("../profiles/trusted.toml")),
    ("nfv", include_str!("../profiles/nfv.toml")),
    ("lab", include_str!("../profiles/lab.toml")),
];

/// A profile that comes with this crate.
#[derive(Clone, Debug)]
pub struct Shipped {
    /// Its text, comments included: what an operator copies and changes.
    pub text: &'static str,
    /// What the text says.
    pub profile: Profile,
}

/// Every profile that comes with the daemon.
pub fn shipped() -> Vec<Shipped> {
    let read = |&(name, text): &(&str, &'static str)| {
        let profile = Profile::parse(name, text).ok()?;
        Some(Shipped { text, profile })
    };
    TEXTS.iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests;
