//! The Debian package's scripts: an upgrade leaves the daemon alone, a removal asks it first.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::Said;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A host where `systemctl` says whether the daemon runs, and `cvfctl` whether it may be stopped.
struct Host {
    dir: tempfile::TempDir,
}

impl Host {
    fn new(runs: bool, stops: bool) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let program = |name: &str, good: bool| {
            let path = dir.path().join(name);
            let code = i32::from(!good);
            let script = format!(
                "#!/bin/sh\necho \"{name} $*\" >>\"{}\"\nexit {code}\n",
                dir.path().join("calls").display()
            );
            fs::write(&path, script).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        };
        program("systemctl", runs);
        program("cvfctl", stops);
        Self { dir }
    }

    /// Runs a script as dpkg does; what it said and what it called.
    fn run(&self, script: &str, args: &[&str]) -> (Said, String) {
        let path = format!("{}:/usr/bin:/bin", self.dir.path().display());
        let mut command = Command::new("sh");
        command
            .arg(root().join("data/debian").join(script))
            .args(args)
            .env("PATH", path);
        let said = Said::of(command.output().expect("it runs"));
        let calls = fs::read_to_string(self.dir.path().join("calls")).unwrap_or_default();
        (said, calls)
    }
}

#[test]
fn an_upgrade_stops_nothing_and_says_so() {
    let (said, calls) = Host::new(true, true).run("prerm", &["upgrade", "2.0"]);
    assert_eq!((said.code, calls.as_str()), (0, ""), "{said:?}");
    let (said, calls) = Host::new(true, true).run("postinst", &["configure", "1.0"]);
    assert!(
        said.code == 0
            && said
                .out
                .contains("cvfctl shutdown && systemctl start mdevd-cvf"),
        "{said:?}"
    );
    assert_eq!(calls, "systemctl is-active --quiet mdevd-cvf.service\n");
    let (said, _) = Host::new(false, true).run("postinst", &["configure", "1.0"]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, ""),
        "it does not run: {said:?}"
    );
    let (said, _) = Host::new(true, true).run("postinst", &["configure", ""]);
    assert_eq!(said.out, "", "a first installation: {said:?}");
}

#[test]
fn a_removal_is_refused_while_vms_are_connected() {
    let (said, calls) = Host::new(true, false).run("prerm", &["remove"]);
    assert!(
        said.code == 1 && said.err.contains("not removed. Stop the VMs first"),
        "{said:?}"
    );
    assert!(calls.ends_with("cvfctl shutdown\n"), "{calls}");
    let (said, _) = Host::new(true, true).run("prerm", &["remove"]);
    assert_eq!(said.code, 0, "{said:?}");
    let (said, calls) = Host::new(false, false).run("prerm", &["remove"]);
    assert_eq!(said.code, 0, "it does not run: {said:?}");
    assert!(!calls.contains("cvfctl"), "{calls}");
}

/// What the package's metadata names is there, or is built.
#[test]
fn everything_that_is_packaged_exists() {
    let manifest = fs::read_to_string(root().join("mdevd/Cargo.toml")).expect("the manifest");
    let manifest: toml::Table = manifest.parse().expect("TOML");
    let deb = &manifest["package"]["metadata"]["deb"];
    let assets = deb["assets"].as_array().expect("assets");
    let mut targets = Vec::new();
    for asset in assets {
        let (from, to) = (
            asset[0].as_str().expect("a path"),
            asset[1].as_str().expect("a path"),
        );
        let built =
            from.starts_with("target/release/") || from.starts_with("../target/package/cvfctl.");
        assert!(built || root().join("mdevd").join(from).is_file(), "{from}");
        targets.push(to.to_owned());
    }
    assert!(
        targets.iter().any(|to| to == "etc/mdevd-cvf/"),
        "the configuration file"
    );
    let unit = &deb["systemd-units"][0];
    assert_eq!(unit["restart-after-upgrade"].as_bool(), Some(false));
    assert_eq!(unit["stop-on-upgrade"].as_bool(), Some(false));
    for script in ["postinst", "prerm", "postrm"] {
        let path = root().join("data/debian").join(script);
        let text = fs::read_to_string(&path).expect("a script");
        assert!(
            text.contains("\n#DEBHELPER#\n"),
            "{script}: what cargo-deb adds has its place"
        );
        assert_eq!(
            fs::metadata(&path).expect("there").permissions().mode() & 0o111,
            0o111,
            "{script}"
        );
    }
}

/// The configuration that is installed starts on a host that has nothing.
#[test]
fn the_installed_configuration_is_good_anywhere() {
    let house = support::House::new();
    let file = root().join("data/mdevd.toml").display().to_string();
    let daemon = house.start(&["--config", &file]);
    daemon.json(&["create", "vm1"]);
}
