use std::path::Path;

use libcvf::pf::vfio::PciAddress;
use proptest::prelude::*;

use super::file::parse;
use super::*;

mod example;
mod vfio;

fn refusal(text: &str) -> String {
    parse(Path::new("m.toml"), text)
        .expect_err("refused")
        .to_string()
}

fn load(args: Args) -> Result<Config, ConfigError> {
    Config::load(&Args {
        state_dir: Some("/s".into()),
        runtime_dir: Some("/r".into()),
        log: Some("info".into()),
        ..args
    })
}

#[test]
fn everything_a_file_may_say() {
    let text = r#"
state-dir = "/var/lib/x"
runtime-dir = "/run/x"
log = "debug"
log-format = "json"
metrics-listen = "unix:/run/x/m"
socket-owner = "root"
socket-group = "107"
socket-mode = "0600"
system-bus = "off"
bus-admin-group = "108"
rate-groups = "web=5000,db=1"

[[pf]]
name = "soft0"
kind = "soft"
queue-pairs = 128
rss-domains = 16
vectors = 300
doorbell-pages = 257
filters = 64
workers = 2
uplink = "tap:tap0"
bridge = "br0"

[[pf]]
name = "soft1"
"#;
    let config = parse(Path::new("m.toml"), text).expect("good");
    assert_eq!(config.state_dir, Some("/var/lib/x".into()));
    assert_eq!(config.log_format, Some(LogFormat::Json));
    assert_eq!(config.metrics, Some(MetricsListen::Unix("/run/x/m".into())));
    assert_eq!(config.sockets.mode, 0o600);
    assert_eq!(config.sockets.group.as_deref(), Some("107"));
    assert_eq!(config.system_bus, Some(SystemBus::Off));
    assert_eq!(config.bus_admin_group.as_deref(), Some("108"));
    assert_eq!(config.rate_groups.unwrap_or_default().0["web"], 5000);
    assert_eq!(
        config.pfs[0].to_string(),
        "soft:soft0,queue-pairs=128,workers=2,rss-domains=16,vectors=300,doorbell-pages=257,\
         filters=64,uplink=tap:tap0,bridge=br0"
    );
    assert_eq!(config.pfs[1], PfConfig::named("soft1"));
}

#[test]
fn complaints_name_file_line_and_the_nearest_key() {
    assert_eq!(
        refusal("log = \"info\"\nstate_dir = \"/x\"\n"),
        "m.toml:2: there is no key 'state_dir'; did you mean 'state-dir'? (keys: state-dir, \
         runtime-dir, log, log-format, profile-dir, default-profile, socket-owner, socket-group, socket-mode, system-bus, \
         bus-admin-group, metrics-listen, rate-groups, callout-dir, callout-timeout, pf)"
    );
    let pf = refusal("[[pf]]\nname = \"a\"\n\nqueue-pair = 3\n");
    assert!(
        pf.starts_with("m.toml:4: there is no key 'queue-pair'; did you mean 'queue-pairs'?"),
        "{pf}"
    );
    let cases = [
        (
            "log = 3",
            "m.toml:1: 'log' is a text in quotes, not an integer",
        ),
        ("\n\nlog = ", "m.toml:3:"),
        (
            "\nlog = \"inof\"",
            "m.toml:2: log 'inof': 'inof' is none of off, error, warn",
        ),
        (
            "log-format = \"xml\"",
            "m.toml:1: log-format 'xml': write auto, text, json or journal",
        ),
        (
            "metrics-listen = \"localhost\"",
            "m.toml:1: metrics-listen 'localhost': write off, ADDRESS:PORT",
        ),
        (
            "metrics-listen = \"unix:m\"",
            "write an absolute path behind unix:",
        ),
        ("state-dir = \"x\"", "absolute path"),
        ("socket-mode = \"abc\"", "socket-mode 'abc'"),
        (
            "log = \"info\"\nsocket-owner = \"no-such-user\"",
            "m.toml:2: 'socket-owner': there is no user 'no-such-user' on this host; give a name or \
             number that exists",
        ),
        (
            "socket-group = \"no-such-group\"",
            "m.toml:1: 'socket-group': there is no group 'no-such-group'",
        ),
        (
            "socket-owner = \"4294967295\"",
            "m.toml:1: 'socket-owner': there is no user '4294967295'",
        ),
        (
            "socket-owner = \"\"",
            "m.toml:1: 'socket-owner': there is no user ''",
        ),
        ("pf = 3", "[[pf]]"),
        ("pf = [3]", "[[pf]]"),
        ("[[pf]]\nqueue-pairs = 1", "m.toml:1: this PF has no 'name'"),
        (
            "[[pf]]\nname = \"a\"\nkind = \"sotf\"",
            "m.toml:3: there is no kind of PF 'sotf'",
        ),
        ("[[pf]]\nname = \"/\"", "m.toml:2: PF name '/' cannot be"),
        (
            "[[pf]]\nname = \"a\"\nworkers = 0",
            "m.toml:3: 'workers' is a number from 1 to 64",
        ),
        (
            "[[pf]]\nname = \"a\"\nworkers = true",
            "m.toml:3: write a number",
        ),
        (
            "[[pf]]\nname = \"a\"\nworkers = 99999999999999999999",
            "m.toml:3: the number is too large",
        ),
        (
            "[[pf]]\nname = \"a\"\nuplink = \"eth0\"",
            "m.toml:3: 'uplink' is none or tap:NAME",
        ),
        (
            "[[pf]]\nname = \"a\"\nbridge = \"br0\"",
            "'bridge' needs an uplink",
        ),
        (
            "[[pf]]\nname = \"a\"\n[[pf]]\nname = \"a\"",
            "m.toml:3: PF 'a' is configured twice",
        ),
        ("log = \"a\"\nlog = \"b\"", "m.toml:2:"),
    ];
    for (text, expected) in cases {
        let error = refusal(text);
        assert!(error.contains(expected), "{text:?}: {error}");
        assert!(!error.contains('\n'), "one line: {error}");
    }
}

#[test]
fn the_command_line_overrides_and_adds() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("m.toml");
    std::fs::write(&file, "[[pf]]\nname='a'\nworkers=3\n[[pf]]\nname='b'\n").expect("write");
    let config = load(Args {
        config: Some(file),
        pf: vec![
            "soft:a,queue-pairs=8".into(),
            "soft:c,uplink=tap:t0,bridge=br0".into(),
        ],
        ..Args::default()
    })
    .expect("good");
    let pfs: Vec<_> = config.pfs.iter().map(ToString::to_string).collect();
    assert_eq!(
        pfs,
        [
            "soft:a,queue-pairs=8,workers=1",
            "soft:b,queue-pairs=64,workers=1",
            "soft:c,queue-pairs=64,workers=1,uplink=tap:t0,bridge=br0"
        ]
    );
    assert_eq!(config.state_dir, Path::new("/s"));
}

#[test]
fn without_any_pf_there_is_soft0() {
    assert_eq!(
        load(Args::default()).expect("good").pfs,
        [PfConfig::named("soft0")]
    );
}

#[test]
fn wrong_pf_options_are_explained() {
    let cases = [
        ("", "write KIND:NAME"),
        ("soft", "write KIND:NAME"),
        ("hard:x", "there is no kind of PF 'hard'"),
        ("soft:", "a name cannot be empty"),
        ("soft:a,workers", "write 'workers' as key=value"),
        ("soft:a,worker=1", "did you mean 'workers'?"),
        ("soft:a,workers=1,workers=2", "given twice"),
        ("soft:a,queue-pairs=-1", "a number from 1"),
        ("soft:a,uplink=tap:", "no interface name"),
        ("soft:a,uplink=tap:sixteen-letters-", "no interface name"),
        ("soft:a,uplink=tap:a/b", "no interface name"),
    ];
    for (text, expected) in cases {
        let error = load(Args {
            pf: vec![text.into()],
            ..Args::default()
        })
        .expect_err("refused");
        let error = error.to_string();
        assert!(
            error.starts_with("--pf '") && error.contains(expected),
            "{text}: {error}"
        );
    }
    let two = ["soft:a,uplink=tap:t", "soft:b,uplink=tap:t"]
        .map(str::to_owned)
        .to_vec();
    let error = load(Args {
        pf: two,
        ..Args::default()
    })
    .expect_err("refused")
    .to_string();
    assert!(error.contains("'a' and 'b' both want tap 't'"), "{error}");
}

#[test]
fn one_name_twice_on_the_command_line_is_refused() {
    let twice = ["soft:a,queue-pairs=8", "soft:b", "soft:a,workers=2"];
    let error = load(Args {
        pf: twice.map(str::to_owned).to_vec(),
        ..Args::default()
    })
    .expect_err("refused")
    .to_string();
    assert_eq!(
        error,
        "--pf 'soft:a,workers=2' cannot be: PF 'a' is given twice; give each a name of its own"
    );
}

#[test]
fn a_missing_or_huge_file_is_named() {
    let missing = Args {
        config: Some("/nonexistent/m.toml".into()),
        ..Args::default()
    };
    let error = load(missing).expect_err("refused").to_string();
    assert!(
        error.starts_with("cannot read the configuration /nonexistent/m.toml"),
        "{error}"
    );
    let endless = Args {
        config: Some("/dev/zero".into()),
        ..Args::default()
    };
    let error = load(endless).expect_err("refused").to_string();
    assert!(error.contains("larger than"), "{error}");
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(
        pairs in 1u32..5000, workers in 1u16..=64, vectors in proptest::option::of(1u32..9000),
        tap in proptest::option::of("[a-z]{1,15}"), bridge in proptest::option::of("[a-z]{1,15}")
    ) {
        let mut pf = PfConfig::named("x");
        (pf.queue_pairs, pf.workers, pf.vectors) = (pairs, workers, vectors);
        if let Some(name) = tap {
            pf.uplink = Uplink::Tap { name, bridge };
        }
        prop_assert_eq!(PfConfig::parse(&pf.to_string()), Ok(pf));
    }

    #[test]
    fn a_function_that_is_printed_is_read_back(
        place in any::<(u16, u8)>(), (device, function) in (0u8..32, 0u8..8), workers in 1u16..=64,
        driver in proptest::option::of(Just(Driver::Igb)), name in "[a-z][a-z0-9_.-]{0,30}"
    ) {
        let mut pf = PfConfig::named(&name);
        let (domain, bus) = place;
        let address = PciAddress { domain, bus, device, function };
        (pf.workers, pf.hardware) = (workers, Some(Hardware { address, driver }));
        prop_assert_eq!(PfConfig::parse(&pf.to_string()), Ok(pf.clone()));
        let unnamed = PfConfig::parse(&format!("vfio:{address}"));
        prop_assert_eq!(unnamed.map(|pf| pf.hardware), Ok(Some(Hardware { address, driver: None })));
    }

    #[test]
    fn no_text_makes_reading_panic(text in "\\PC{0,200}") {
        let _ = PfConfig::parse(&text);
        let _ = parse(Path::new("x"), &text);
        let _ = parse(Path::new("x"), &format!("[[pf]]\nname = \"a\"\n{text}"));
    }
}

/// Sockets are named to clients that are somewhere else.
#[test]
fn directories_become_absolute() {
    let args = Args {
        runtime_dir: Some("r".into()),
        state_dir: Some("./s".into()),
        ..Args::default()
    };
    let config = Config::load(&args).expect("a configuration");
    assert!(config.runtime_dir.is_absolute() && config.runtime_dir.ends_with("r"));
    assert!(config.state_dir.is_absolute() && config.state_dir.ends_with("s"));
}

#[test]
fn the_system_bus_is_chosen_by_word_and_its_group_by_name() {
    let default = load(Args::default()).expect("good");
    assert_eq!(default.system_bus, SystemBus::Auto);
    assert_eq!(default.bus_admin_group, None);
    let args = Args {
        system_bus: Some(SystemBus::On),
        bus_admin_group: Some("root".into()),
        ..Args::default()
    };
    let chosen = load(args).expect("good");
    assert!(
        chosen
            .to_string()
            .contains("system-bus = on\nbus-admin-group = root\n"),
        "{chosen}"
    );
    assert!(
        refusal("system-bus = \"yes\"\n")
            .contains("m.toml:1: system-bus 'yes': write auto, on or off")
    );
    assert!(
        refusal("bus-admin-group = \"no-such\"\n").contains("'bus-admin-group': there is no group")
    );
    let args = Args {
        bus_admin_group: Some("no-such".into()),
        ..Args::default()
    };
    let refused = load(args).expect_err("refused").to_string();
    assert!(
        refused.contains("--bus-admin-group 'no-such' cannot be"),
        "{refused}"
    );
}
