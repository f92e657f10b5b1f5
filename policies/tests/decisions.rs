//! The tables of decisions: every row is what its profile tells.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::mem::{Discriminant, discriminant};
use std::path::Path;
use std::sync::Arc;

use libcvf::control::{ControlRequest, DeviceFacts, Gatekeeper, MacAddr};
use policies::{Profile, ProfileGatekeeper, explain, request, rule, shipped};
use serde::Deserialize;

/// Fewest decisions that all tables hold together.
const ENOUGH: usize = 120;
const ALLOWED: &str = "allowed";
const ASSIGNED: MacAddr = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    profiles: Vec<String>,
    rows: Vec<Row>,
    /// Profiles that are not shipped.
    #[serde(default)]
    texts: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Row {
    ask: String,
    #[serde(default = "four")]
    queue_pairs: u16,
    access_vlan: Option<u16>,
    #[serde(default)]
    joined: u16,
    told: Vec<String>,
}

const fn four() -> u16 {
    4
}

/// One decision: a row and one of its profiles.
struct Decision {
    place: String,
    profile: Arc<Profile>,
    facts: DeviceFacts,
    request: ControlRequest,
    told: String,
}

fn profile(table: &Table, name: &str) -> Result<Arc<Profile>, String> {
    if let Some(text) = table.texts.get(name) {
        let profile = Profile::parse(name, text).map_err(|error| error.to_string())?;
        return Ok(Arc::new(profile));
    }
    let mut all = shipped().into_iter().map(|shipped| shipped.profile);
    let found = all.find(|profile| profile.name == name);
    found
        .map(Arc::new)
        .ok_or_else(|| format!("no profile '{name}'"))
}

/// Reads a table.
fn read(file: &str, text: &str) -> Result<Vec<Decision>, String> {
    let table: Table = toml::from_str(text).map_err(|error| format!("{file}: {error}"))?;
    let mut decisions = Vec::new();
    for row in &table.rows {
        let place = format!("{file}: {}", row.ask);
        let wrong = |why: String| format!("{place}: {why}");
        let request = request::parse(&row.ask).map_err(|error| wrong(error.to_string()))?;
        if row.told.len() != table.profiles.len() {
            return Err(wrong("a row tells one word for each profile".into()));
        }
        for (name, told) in table.profiles.iter().zip(&row.told) {
            let known = told == ALLOWED || rules().contains(&told.as_str());
            if !known {
                return Err(wrong(format!("there is no rule '{told}'")));
            }
            decisions.push(Decision {
                place: format!("{place}, {name}"),
                profile: profile(&table, name).map_err(wrong)?,
                facts: DeviceFacts {
                    assigned_mac: ASSIGNED,
                    queue_pairs: row.queue_pairs,
                    access_vlan: row.access_vlan,
                    joined_vlans: row.joined,
                },
                request: request.clone(),
                told: told.clone(),
            });
        }
    }
    Ok(decisions)
}

fn rules() -> BTreeSet<&'static str> {
    rule::BUILT_IN.into_iter().chain(rule::OF_PROFILE).collect()
}

fn decisions() -> Vec<Decision> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/decisions");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("tables").flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(entry.path()).expect("a table");
        all.extend(read(&file, &text).unwrap_or_else(|error| panic!("{error}")));
    }
    all
}

#[test]
fn each_row_is_what_is_told() {
    let mut wrong = String::new();
    for decision in decisions() {
        let Decision {
            place,
            profile,
            facts,
            request,
            told,
        } = decision;
        let gate = ProfileGatekeeper::new(profile.clone());
        let answer = gate.decide(&facts, &request);
        let is = answer.as_ref().err().map_or(ALLOWED, |denial| denial.rule);
        if is != told {
            let told_why = explain(&profile, &facts, &request);
            let _ = writeln!(wrong, "{place}: the table says {told}\n{told_why}");
        }
        if let Err(denial) = answer {
            let (said, name) = (denial.reason, &profile.name);
            assert!(said.contains(denial.rule), "{said}");
            let names = said.contains(&format!("of profile '{name}'; to allow it, set "));
            assert!(
                names || said.contains("which holds for every profile"),
                "{said}"
            );
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_rule_refuses_somewhere() {
    let told: BTreeSet<_> = decisions()
        .into_iter()
        .map(|decision| decision.told)
        .collect();
    // No row has a trunk: that rule is about what one device was given, and tested with it.
    let silent: Vec<_> = rules()
        .into_iter()
        .filter(|rule| *rule != policies::rule::VLAN_TRUNK && !told.contains(*rule))
        .collect();
    assert!(silent.is_empty(), "no row is refused by {silent:?}");
}

#[test]
fn every_shipped_profile_is_asked_everything_that_can_be_asked() {
    let all = decisions();
    assert!(all.len() >= ENOUGH, "{} decisions", all.len());
    let asks = |name: &str, kind: Discriminant<ControlRequest>| {
        let mut of_kind = all.iter().filter(|one| discriminant(&one.request) == kind);
        of_kind.any(|one| one.profile.name == name)
    };
    for form in request::FORMS {
        let kind = discriminant(&request::parse(form.example).expect(form.example));
        for shipped in shipped() {
            let name = &shipped.profile.name;
            assert!(asks(name, kind), "nobody asks {name} for {}", form.name);
        }
    }
}

#[test]
fn tables_that_cannot_be_are_refused() {
    let why = |rows: &str| {
        let text = format!("profiles = [\"tenant\"]\nrows = [\n{rows}\n]");
        read("t", &text)
            .err()
            .unwrap_or_else(|| panic!("{rows} was read"))
    };
    for (rows, part) in [
        (
            "{ ask = \"vlan=1\", vlan = 7, told = [\"allowed\"] }",
            "unknown field `vlan`",
        ),
        ("{ ask = \"vlan=1\" }", "missing field `told`"),
        (
            "{ ask = \"vlan\", told = [\"allowed\"] }",
            "lacks its value",
        ),
        (
            "{ ask = \"vlan=1\", told = [] }",
            "one word for each profile",
        ),
        (
            "{ ask = \"vlan=1\", told = [\"vlan-joined\"] }",
            "no rule 'vlan-joined'",
        ),
    ] {
        assert!(why(rows).contains(part), "{}", why(rows));
    }
    assert!(
        read(
            "t",
            "profiles = [\"x\"]\nrows = [{ ask = \"vlan=1\", told = [\"allowed\"] }]"
        )
        .is_err()
    );
    assert!(read("t", "columns = 1\nprofiles = []\nrows = []").is_err());
}
