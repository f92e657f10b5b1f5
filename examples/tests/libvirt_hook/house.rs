//! Where a hook lives in these tests: a directory with everything that it reads and writes.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The device of the usual domain.
pub const CVF: &str = "<mdevd:cvf name='vm1' queue-pairs='2' vlan='5'/>";

/// Longer than every limit of the hook as it is configured here, on a machine with much else to do.
const BOUND: Duration = Duration::from_secs(30);

/// A domain as libvirt describes it to the hook.
#[derive(Clone)]
pub struct Domain {
    pub uuid: String,
    pub metadata: String,
    pub memory: String,
    pub guard: String,
}

impl Default for Domain {
    fn default() -> Self {
        Domain {
            uuid: "11111111-1111-1111-1111-111111111111".into(),
            metadata: metadata(CVF),
            memory: "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>".into(),
            guard: "<qemu:arg value='-blockdev'/>\
                    <qemu:arg value='{\"driver\":\"vmdk\",\"node-name\":\"mdevd-devices-cannot-migrate\"}'/>"
                .into(),
        }
    }
}

fn metadata(cvfs: &str) -> String {
    format!(
        "<metadata><mdevd:devices xmlns:mdevd='urn:mdevd:libvirt:1'>{cvfs}</mdevd:devices></metadata>"
    )
}

impl Domain {
    /// With these elements.
    pub fn with_cvfs(&self, cvfs: &str) -> Self {
        Domain {
            metadata: metadata(cvfs),
            ..self.clone()
        }
    }

    /// With this in place of its memory's description.
    pub fn with_memory(&self, memory: &str) -> Self {
        Domain {
            memory: memory.into(),
            ..self.clone()
        }
    }

    fn xml(&self) -> String {
        let Domain {
            uuid,
            metadata,
            memory,
            guard,
        } = self;
        format!(
            "<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\
             <name>d</name><uuid>{uuid}</uuid>{metadata}{memory}<qemu:commandline>\
             <qemu:arg value='-device'/><qemu:arg value='pcie-root-port,id=p'/>\
             <qemu:arg value='-device'/><qemu:arg value='{{\"driver\":\"vfio-user-pci\",\"socket\":\
             {{\"type\":\"unix\",\"path\":\"/s/vm1.sock\"}}}}'/>{guard}</qemu:commandline></domain>"
        )
    }
}

/// How the hook ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub err: String,
    took: Duration,
}

impl Said {
    /// Fails unless it ended well, in silence.
    #[track_caller]
    pub fn expect_ok(self) {
        assert!(self.code == 0 && self.err.is_empty(), "{self:?}");
    }

    /// Fails unless it refused in bounded time, in one line that has all of these words.
    #[track_caller]
    pub fn expect_refusal(self, words: &[&str]) -> Self {
        let one_line = self.err.starts_with("mdevd: domain 'd', ") && self.err.lines().count() == 1;
        let named = words.iter().all(|word| self.err.contains(word));
        assert!(self.code == 1 && one_line && named, "{words:?} in {self:?}");
        assert!(self.took < BOUND, "{self:?}");
        self
    }
}

/// Directory of one test.
pub struct House {
    dir: TempDir,
}

impl House {
    /// A fresh one; none on a machine without Python, which counts as failed where `CI=true`.
    pub fn new() -> Option<Self> {
        let python = Command::new("python3").arg("--version").output();
        if !python.is_ok_and(|out| out.status.success()) {
            assert!(std::env::var("CI").is_err(), "the hook needs python3");
            println!("not run: this machine has no python3");
            return None;
        }
        let house = House {
            dir: tempfile::tempdir().expect("a directory"),
        };
        fs::create_dir(house.path("devices")).expect("made");
        fs::write(
            house.path("qemu.conf"),
            "# user = \"x\"\nuser = \"+65534\"\n",
        )
        .expect("written");
        house.configure("");
        Some(house)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes the hook's configuration, with these lines more.
    pub fn configure(&self, more: &str) {
        let dir = self.dir.path().display();
        let cvfctl = here("tests/libvirt_hook/cvfctl");
        let mut text = format!(
            "cvfctl = {}\nstate-dir = {dir}/state\nqemu-conf = {dir}/qemu.conf\n",
            cvfctl.display()
        );
        if !more.contains("seconds") {
            text.push_str("seconds = 20\n");
        }
        fs::write(self.path("hook.conf"), text + more).expect("written");
    }

    /// Has the daemon do this.
    pub fn trouble(&self, what: &str) {
        fs::write(self.path("trouble"), what).expect("written");
    }

    /// Runs the hook.
    pub fn run(&self, operation: &str, domain: &Domain) -> Said {
        self.run_text(operation, &domain.xml())
    }

    /// Runs the hook on any text.
    pub fn run_text(&self, operation: &str, xml: &str) -> Said {
        let start = Instant::now();
        let mut child = self
            .command("python3")
            .arg(here("libvirt/qemu"))
            .arg("d")
            .args(operation.split(' '))
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let mut input = child.stdin.take().expect("a pipe");
        input.write_all(xml.as_bytes()).expect("taken");
        drop(input);
        let out = child.wait_with_output().expect("ended");
        // libvirt takes standard output for the domain's new XML.
        assert!(out.stdout.is_empty(), "{out:?}");
        Said {
            code: out.status.code().expect("not killed"),
            err: String::from_utf8_lossy(&out.stderr).into_owned(),
            took: start.elapsed(),
        }
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("FAKE", self.dir.path());
        command.env("MDEVD_LIBVIRT_CONFIG", self.path("hook.conf"));
        command
    }

    fn operator(&self, words: &[&str]) {
        let mut command = self.command(here("tests/libvirt_hook/cvfctl"));
        let out = command.arg("--json").args(words).output().expect("run");
        assert!(out.status.success(), "{out:?}");
    }

    /// What an operator does.
    pub fn create(&self, name: &str, options: &[&str]) {
        self.operator(&[&["create", name], options].concat());
    }

    /// What an operator does.
    pub fn destroy(&self, name: &str) {
        self.operator(&["destroy", name]);
    }

    /// A device as it was made.
    pub fn device(&self, name: &str) -> String {
        fs::read_to_string(self.path("devices").join(name)).expect("a device")
    }

    /// Every call of cvfctl so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Names in a directory.
    pub fn list(&self, dir: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(dir)).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Domains for which something is remembered.
    pub fn claims(&self) -> Vec<String> {
        self.list("state")
    }
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
