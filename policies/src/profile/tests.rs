use super::keys::{KEYS, Values};
use super::*;
use crate::limits::{MAX_DESCRIPTION, MAX_ENTRIES, MAX_FAULTS, MAX_PROFILE, MAX_PROFILE_NAME};

fn parse(text: &str) -> Result<Profile, ProfileError> {
    Profile::parse("test", text)
}

/// What is said about a text, as a compiler would.
fn said(text: &str) -> String {
    parse(text).expect_err(text).render("f.toml")
}

#[test]
fn nothing_written_is_the_default() {
    let read = parse("").expect("empty");
    assert_eq!(
        read,
        Profile {
            name: "test".into(),
            ..Profile::default()
        }
    );
    assert_eq!(parse(&read.to_toml()), Ok(read));
}

#[test]
fn keys_are_those_that_are_printed_in_their_order() {
    let table = toml::Table::try_from(Profile::default()).expect("a table");
    let printed = Profile::default().to_toml();
    let mut paths = Vec::new();
    let mut section = String::new();
    for line in printed.lines().filter(|line| !line.is_empty()) {
        if let Some(header) = line.strip_prefix('[') {
            section = format!("{}.", header.trim_end_matches(']'));
        } else if let Some((key, _)) = line.split_once(" = ") {
            paths.push(format!("{section}{key}"));
        }
    }
    assert_eq!(paths, KEYS.iter().map(|key| key.path).collect::<Vec<_>>());
    let sections = table.iter().filter(|(_, value)| value.is_table()).count();
    assert_eq!(sections, keys::SECTIONS.len());
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_what_would_be_right() {
    let table = [
        (
            "shape = 3",
            "f.toml:1:1: 'shape' is a section: write [shape] and its keys below",
        ),
        (
            "[[shape]]",
            "f.toml:1:3: 'shape' is a section: write [shape] and its keys below",
        ),
        (
            "[shape]\nmax-mut = 9",
            "f.toml:2:1: there is no key 'max-mut' in [shape]; did you mean 'max-mtu'? (keys: \
             max-queue-pairs, ",
        ),
        (
            "[shape]\npromiscuous = \"deny\"",
            "f.toml:2:1: there is no key 'promiscuous' in [shape]; it belongs into [control]",
        ),
        (
            "max-mtu = 9",
            "f.toml:1:1: there is no key 'max-mtu' outside of sections; it belongs into [shape]",
        ),
        (
            "[sphoof]",
            "f.toml:1:2: there is no key 'sphoof' outside of sections; did you mean 'spoof'?",
        ),
        (
            "[control]\n  mac-change = \"lsited\"",
            "f.toml:2:16: control.mac-change: \"lsited\" cannot be: write \"deny\", \"listed\" or \
             \"any-unicast\"; did you mean 'listed'?",
        ),
        (
            "[control]\nmac-change = true",
            "f.toml:2:14: control.mac-change: true cannot be: write \"deny\", \"listed\" or",
        ),
        (
            "[shape]\nmax-queue-pairs = 70000",
            "f.toml:2:19: shape.max-queue-pairs: 70000 cannot be: write a number from 1 to 64",
        ),
        (
            "[shape]\nmax-queue-pairs = 65",
            "f.toml:2:19: shape.max-queue-pairs: 65 is out of bounds: write a number from 1 to 64",
        ),
        (
            "[shape]\nmax-queue-pairs = -1",
            "f.toml:2:19: shape.max-queue-pairs: -1 cannot be: write a number from 1 to 64",
        ),
        (
            "[rates]\nflood-frames = 0",
            "f.toml:2:16: rates.flood-frames: 0 lets nothing through: write a number from 1 on, or",
        ),
        (
            "[rates]\nflood-frames = \"unlimitd\"",
            "f.toml:2:16: rates.flood-frames: \"unlimitd\" cannot be: write a number from 1 to \
             1000000000, or \"unlimited\"; did you mean 'unlimited'?",
        ),
        (
            "[shape]\nmin-mtu = 2000\nmax-mtu = 1500",
            "f.toml:2:11: shape.min-mtu: 2000 is more than shape.max-mtu, 1500",
        ),
        (
            "# é\n[shape]\nfeatures-withheld = [\"RSS\",\n  \"ä\", \"GUEST_UF0\"]",
            "f.toml:4:3: shape.features-withheld: there is no feature 'ä': write a list of at most 64",
        ),
        (
            "[shape]\nfeatures-withheld = [\"GUEST_UF0\"]",
            "f.toml:2:22: shape.features-withheld: there is no feature 'GUEST_UF0'; did you mean \
             'GUEST_UFO'?",
        ),
        (
            "[shape]\nfeatures-withheld = [1]",
            "f.toml:2:22: shape.features-withheld: 1 cannot be: write a list of at most 64",
        ),
        (
            "[control]\nvlan-list = [\"100\", \"300-200\"]",
            "f.toml:2:21: control.vlan-list: '300-200' begins behind its end: write a list of",
        ),
        (
            "[control]\nmac-change = \"listed\"",
            "f.toml:2:14: control.mac-change: 'listed' while control.mac-list names nothing",
        ),
        (
            "[control]\nvlan-join = \"listed\"",
            "f.toml:2:13: control.vlan-join: 'listed' while control.vlan-list names nothing",
        ),
        (
            "[control]\nunicast-filter = \"any-unicast\"",
            "f.toml:2:18: control.unicast-filter: 'any-unicast' while control.max-unicast is 0",
        ),
        (
            "[spoof]\narp = \"mac-and-network\"",
            "f.toml:2:7: spoof.arp: 'mac-and-network' while spoof.source-networks names nothing",
        ),
        (
            "[shape]\ndirect = \"allow\"",
            "f.toml:2:10: shape.direct: \"allow\" cannot be: write true or false",
        ),
        (
            "[shape]\nring-formats = []",
            "f.toml:2:16: shape.ring-formats: it names nothing: write a list out of",
        ),
        (
            "[shape]\nring-formats = [\"split\", \"split\"]",
            "f.toml:2:16: shape.ring-formats: \"split\" is listed twice",
        ),
        (
            "[shape]\nring-formats = [\"splt\"]",
            "f.toml:2:17: shape.ring-formats: \"splt\" cannot be: write a list out of [\"split\", \
             \"packed\"]; did you mean 'split'?",
        ),
        (
            "description = \"a\\nb\"",
            "f.toml:1:15: description: it is one line of text",
        ),
        ("[shape]\nmax-mtu 9", "f.toml:2:9: this is not TOML: "),
        (
            "[shape]\nmax-mtu = 9000\nmax-mtu = 9000",
            "f.toml:3:1: this is not TOML: duplicate key",
        ),
    ];
    for (text, begins) in table {
        let said = said(text);
        assert!(
            said.starts_with(begins),
            "{text}\n said: {said}\n want: {begins}"
        );
    }
}

#[test]
fn all_faults_of_a_kind_are_said_at_once_in_their_order() {
    let error = parse("[rates]\nflood-frames = 0\n[shape]\nmax-queue-pairs = 0\nmax-mtu = 1\n");
    let lines: Vec<_> = error
        .expect_err("faults")
        .faults
        .iter()
        .map(|f| f.line)
        .collect();
    assert_eq!(
        lines,
        [2, 4, 5, 5],
        "rate, pairs, MTU out of bounds and below the smallest"
    );
    let unknown = "a = 1\nb = 2\n[shape]\nc = 3\n";
    assert_eq!(parse(unknown).expect_err("unknown").faults.len(), 3);
}

#[test]
fn only_so_many_faults_are_said() {
    let keys = |n: usize| (0..n).map(|i| format!("x{i} = 1\n")).collect::<String>();
    let count = |n| parse(&keys(n)).expect_err("unknown").faults.len();
    assert_eq!(count(MAX_FAULTS), MAX_FAULTS);
    assert_eq!(count(MAX_FAULTS + 1), MAX_FAULTS);
    let error = parse(&keys(5000)).expect_err("unknown");
    let lines: Vec<_> = error.faults.iter().map(|fault| fault.line).collect();
    assert_eq!(
        lines,
        (1..=MAX_FAULTS).collect::<Vec<_>>(),
        "the first ones"
    );
}

#[test]
fn a_text_has_a_length() {
    let comment = |len| format!("#{}", "x".repeat(len - 1));
    assert!(parse(&comment(MAX_PROFILE)).is_ok());
    let said = said(&comment(MAX_PROFILE + 1));
    assert!(
        said.contains("the text has 65537 bytes, a profile has at most 65536"),
        "{said}"
    );
}

#[test]
fn a_name_is_one_that_a_file_can_have() {
    let named = |name: &str| Profile::parse(name, "");
    assert!(named(&"a".repeat(MAX_PROFILE_NAME)).is_ok());
    assert!(named("nfv-2").is_ok());
    for name in [
        &*"a".repeat(MAX_PROFILE_NAME + 1),
        "",
        "-a",
        "A",
        "a/b",
        "ä",
        "..",
    ] {
        let error = named(name).expect_err(name).to_string();
        assert!(error.contains("is no name for a profile"), "{error}");
    }
}

#[test]
fn a_description_has_a_length() {
    let described = |n: usize| parse(&format!("description = \"{}\"", "ä".repeat(n)));
    assert!(described(MAX_DESCRIPTION).is_ok());
    let error = described(MAX_DESCRIPTION + 1)
        .expect_err("long")
        .to_string();
    assert!(
        error.contains("201 characters are more than 200"),
        "{error}"
    );
}

#[test]
fn lists_have_a_length() {
    let lists = [
        ("shape", "features-withheld", "CSUM"),
        ("control", "mac-list", "52:54:00:12:34:56"),
        ("control", "vlan-list", "100"),
        ("spoof", "source-networks", "192.0.2.0/24"),
    ];
    for (section, key, entry) in lists {
        let list = |n| {
            let entries = vec![format!("\"{entry}\""); n].join(", ");
            parse(&format!("[{section}]\n{key} = [{entries}]"))
        };
        assert!(list(MAX_ENTRIES).is_ok(), "{key}");
        let error = list(MAX_ENTRIES + 1).expect_err(key).to_string();
        assert!(error.contains("65 entries are more than 64"), "{error}");
    }
}

/// Every number and rate at its edges, and every word.
#[test]
fn bounds_are_those_of_the_table_of_keys() {
    let with = |path: &str, value: &str| match path.split_once('.') {
        Some((section, key)) => parse(&format!("[{section}]\n{key} = {value}")),
        None => parse(&format!("{path} = {value}")),
    };
    // A value that is right by itself may contradict another: that is said with the other's name.
    let fits = |path: &str, value: &str| {
        let error = with(path, value).err().map(|error| error.to_string());
        !error.is_some_and(|error| error.contains("out of bounds") || error.contains("cannot be"))
    };
    for key in KEYS {
        let path = key.path;
        match &key.values {
            Values::Number(range) => {
                assert!(fits(path, &range.start().to_string()), "{path}");
                assert!(fits(path, &range.end().to_string()), "{path}");
                assert!(
                    !fits(path, &(i64::from(*range.start()) - 1).to_string()),
                    "{path}"
                );
                assert!(!fits(path, &(range.end() + 1).to_string()), "{path}");
            }
            Values::Rate(most) => {
                assert!(with(path, "1").is_ok() && with(path, &most.to_string()).is_ok());
                assert!(with(path, "0").is_err() && !fits(path, &(most + 1).to_string()));
                assert!(with(path, "\"unlimited\"").is_ok());
            }
            Values::Word(words) => {
                for word in *words {
                    assert!(fits(path, &format!("\"{word}\"")), "{path} {word}");
                }
                assert!(!fits(path, "\"\"") && !fits(path, "1"));
            }
            Values::Switch => {
                assert!(fits(path, "true") && fits(path, "false"), "{path}");
                assert!(!fits(path, "\"true\"") && !fits(path, "1"), "{path}");
            }
            Values::Words(_) | Values::Text(_) | Values::List(..) => {}
        }
    }
}

#[test]
fn features_whose_use_is_refused_are_not_offered() {
    use libcvf::personality::virtio_net::feature_names;
    let withheld = |text: &str| feature_names(!parse(text).expect(text).feature_mask());
    assert_eq!(
        withheld(""),
        ["MQ", "VQ_NOTF_COAL", "NOTF_COAL", "HASH_REPORT", "RSS"]
    );
    let open = "[control]\nqueue-count = \"allow\"\nrss = \"allow\"\nhash-report = \"allow\"\n\
                coalescing = \"allow\"\n[shape]\nmax-queue-pairs = 2\n";
    assert!(withheld(open).is_empty());
    assert_eq!(withheld(&format!("{open}max-rss-table = 127")), ["RSS"]);
    let named = format!("{open}features-withheld = [\"GUEST_UFO\", \"CSUM\"]");
    assert_eq!(withheld(&named), ["CSUM", "GUEST_UFO"]);
}
