//! What is another in another configuration, key by key.

use super::Config;

/// A key, and what it stands for.
struct Field {
    key: &'static str,
    same: fn(&Config, &Config) -> bool,
    adopt: fn(&mut Config, &Config),
}

macro_rules! field {
    ($key:literal, $($part:ident).+) => {
        Field {
            key: $key,
            same: |one, other| one.$($part).+ == other.$($part).+,
            adopt: |to, from| to.$($part).+.clone_from(&from.$($part).+),
        }
    };
}

const FIELDS: [Field; 16] = [
    field!("state-dir", state_dir),
    field!("runtime-dir", runtime_dir),
    field!("log", log),
    field!("log-format", log_format),
    field!("socket-owner", sockets.owner),
    field!("socket-group", sockets.group),
    field!("socket-mode", sockets.mode),
    field!("metrics-listen", metrics),
    field!("rate-groups", rate_groups),
    field!("callout-dir", callouts.dir),
    field!("callout-timeout", callouts.deadline),
    field!("profile-dir", profile_dir),
    field!("default-profile", default_profile),
    field!("system-bus", system_bus),
    field!("bus-admin-group", bus_admin_group),
    field!("pf", pfs),
];

impl Config {
    /// Keys whose values `other` has otherwise.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        FIELDS
            .iter()
            .filter(|field| !(field.same)(self, other))
            .map(|field| field.key)
            .collect()
    }

    /// Takes the values of `keys` from `other`.
    pub fn adopt(&mut self, other: &Self, keys: &[&str]) {
        for field in FIELDS.iter().filter(|field| keys.contains(&field.key)) {
            (field.adopt)(self, other);
        }
    }

    /// Every key that a difference can be in.
    #[cfg(test)]
    pub(super) fn keys() -> Vec<&'static str> {
        FIELDS.iter().map(|field| field.key).collect()
    }
}
