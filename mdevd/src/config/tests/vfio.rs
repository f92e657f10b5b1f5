//! PFs that are PCI functions.

use super::*;

const AT: &str = "0000:03:00.0";

fn options(pfs: &[&str]) -> Result<Config, ConfigError> {
    load(Args {
        pf: pfs.iter().map(|&pf| pf.to_owned()).collect(),
        ..Args::default()
    })
}

#[test]
fn every_key_is_the_same_in_the_file_and_on_the_command_line() {
    let text = "[[pf]]\nname = \"nic0\"\nkind = \"vfio\"\naddress = \"0000:03:00.0\"\n\
                driver = \"igb\"\nworkers = 2\n";
    let file = parse(Path::new("m.toml"), text).expect("good");
    let given = options(&["vfio:0000:03:00.0,workers=2,driver=igb,name=nic0"]).expect("good");
    assert_eq!(file.pfs, given.pfs);
    let pf = &given.pfs[0];
    assert_eq!((pf.name.as_str(), pf.workers), ("nic0", 2));
    let address = AT.parse().expect("an address");
    let driver = Some(Driver::Igb);
    assert_eq!(pf.hardware, Some(Hardware { address, driver }));
}

#[test]
fn what_is_left_out_is_known() {
    let given = options(&["vfio:0000:03:00.0", "vfio:0000:0A:00.1"]).expect("good");
    let shown: Vec<_> = given.pfs.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "vfio:0000:03:00.0,name=0000-03-00-0,workers=1",
            "vfio:0000:0a:00.1,name=0000-0a-00-1,workers=1"
        ]
    );
    // A name may be any PF's.
    let given = options(&["soft:a", "vfio:0000:03:00.0,name=b"]).expect("good");
    assert_eq!(given.pfs.len(), 2);
}

#[test]
fn wrong_options_are_explained() {
    let cases = [
        ("vfio", "write KIND:NAME first"),
        ("vifo:0000:03:00.0", "did you mean 'vfio'?"),
        ("vfio:", "'' is no PCI address: write domain:bus:device"),
        ("vfio:eth0", "'eth0' is no PCI address"),
        (
            "vfio:03:00.0",
            "'03:00.0' is no PCI address: its domain is missing; write 0000:03:00.0",
        ),
        ("vfio:0000:03:20.0", "no PCI address"),
        ("vfio:0000:03:00.0,name=/", "PF name '/' cannot be"),
        ("vfio:0000:03:00.0,name=a,name=b", "'name' is given twice"),
        ("vfio:0000:03:00.0,workers", "write 'workers' as key=value"),
        ("vfio:0000:03:00.0,workers=0", "a number from 1 to 64"),
        ("vfio:0000:03:00.0,workers=65", "a number from 1 to 64"),
        ("vfio:0000:03:00.0,workers=1,workers=1", "given twice"),
        ("vfio:0000:03:00.0,address=0000:04:00.0", "given twice"),
        ("vfio:0000:03:00.0,driver=ibg", "did you mean 'igb'?"),
        (
            "vfio:0000:03:00.0,driver=e1000",
            "(drivers: igb, virtio-net)",
        ),
        ("vfio:0000:03:00.0,driver=igb,driver=igb", "given twice"),
        (
            "vfio:0000:03:00.0,drivre=igb",
            "there is no key 'drivre'; did you mean 'driver'? (keys: name, workers, address, driver)",
        ),
        (
            "soft:a,address=0000:03:00.0",
            "a PF of kind soft has no 'address'",
        ),
        ("soft:a,driver=igb", "a PF of kind soft has no 'driver'"),
        ("soft:a,name=b", "there is no key 'name'"),
    ];
    let wrong = |text: &str, expected: &str| {
        let error = options(&[text]).expect_err("refused").to_string();
        assert!(
            error.starts_with("--pf '") && error.contains(expected) && !error.contains('\n'),
            "{text}: {error}"
        );
    };
    for (text, expected) in cases {
        wrong(text, expected);
    }
    for key in [
        "queue-pairs=1",
        "rss-domains=1",
        "vectors=1",
        "doorbell-pages=1",
        "filters=1",
        "uplink=none",
        "bridge=br0",
    ] {
        let name = key.split('=').next().unwrap_or_default();
        let expected = format!("a PF of kind vfio has no '{name}': the function itself says that");
        wrong(&format!("vfio:{AT},{key}"), &expected);
    }
}

#[test]
fn wrong_lines_are_named() {
    let head = "[[pf]]\nname = \"nic0\"\nkind = \"vfio\"\n";
    let cases = [
        (
            "",
            "m.toml:1: a PF of kind vfio needs an 'address', as in 0000:03:00.0",
        ),
        (
            "address = \"03:00.0\"",
            "m.toml:4: '03:00.0' is no PCI address: its domain is missing; write 0000:03:00.0",
        ),
        ("address = 3", "m.toml:4: '3' is no PCI address"),
        ("address = true", "m.toml:4: write a number or a text here"),
        (
            "address = \"0000:03:00.0\"\ndriver = \"igc\"",
            "m.toml:5: there is no driver 'igc'; did you mean 'igb'? (drivers: igb, virtio-net)",
        ),
        (
            "address = \"0000:03:00.0\"\nqueue-pairs = 8",
            "m.toml:5: a PF of kind vfio has no 'queue-pairs'",
        ),
        (
            "address = \"0000:03:00.0\"\nadress = \"x\"",
            "m.toml:5: there is no key 'adress'; did you mean 'address'?",
        ),
    ];
    for (rest, expected) in cases {
        let error = refusal(&format!("{head}{rest}\n"));
        assert!(error.contains(expected), "{rest}: {error}");
    }
    let nameless = refusal("[[pf]]\nkind = \"vfio\"\naddress = \"0000:03:00.0\"\n");
    assert!(nameless.contains("this PF has no 'name'"), "{nameless}");
    let soft = refusal("[[pf]]\nname = \"a\"\naddress = \"0000:03:00.0\"\n");
    assert!(
        soft.contains("m.toml:3: a PF of kind soft has no 'address'"),
        "{soft}"
    );
}

#[test]
fn one_function_is_one_pf() {
    let two = ["vfio:0000:03:00.0,name=a", "vfio:0000:03:00.0,name=b"];
    let expected = "PFs 'a' and 'b' are both the PCI function 0000:03:00.0; leave one of them out";
    assert_eq!(options(&two).expect_err("refused").to_string(), expected);
    // In the file, and in both.
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("m.toml");
    let pf = |name: &str| format!("[[pf]]\nname = '{name}'\nkind = 'vfio'\naddress = '{AT}'\n");
    let read = |text: String, pf: &[&str]| {
        std::fs::write(&file, text).expect("written");
        load(Args {
            config: Some(file.clone()),
            pf: pf.iter().map(|&pf| pf.to_owned()).collect(),
            ..Args::default()
        })
    };
    let error = read(pf("a") + &pf("b"), &[]).expect_err("refused");
    assert_eq!(error.to_string(), expected);
    let error = read(pf("a"), &["vfio:0000:03:00.0,name=b"]).expect_err("refused");
    assert_eq!(error.to_string(), expected);
    // The same name replaces.
    let config = read(pf("a"), &["vfio:0000:03:00.0,name=a,workers=2"]).expect("good");
    assert_eq!(config.pfs[0].workers, 2);
}
