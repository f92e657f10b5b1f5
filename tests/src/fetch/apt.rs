//! Downloads packages with the host's apt and a package state of its own.

use super::Recipe;
use super::mirror::{self, Mirror};
use crate::process::{self, Surroundings};
use crate::ui::{self, Counter};
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The package whose dependencies name the current kernel.
const KERNEL: &str = "linux-image-amd64";

/// Parts of the kernel's package set that matter to a guest that never installs anything.
const KERNEL_PARTS: [&str; 3] = ["linux-image-", "linux-binary-", "linux-modules-"];

struct Apt {
    dir: PathBuf,
    /// The release that is preferred.
    newest: String,
}

/// Downloads what the recipe wants into `work`; the package files.
pub fn download(work: &Path, recipe: &Recipe) -> Result<Vec<PathBuf>> {
    let mirror = mirror::find()?;
    ui::say(&format!(
        "    from {} ({})",
        mirror.uri,
        recipe.suites.join(", ")
    ));
    let apt = Apt::new(work, &mirror, recipe.suites)?;
    apt.run("read the package lists", &["update"], None)?;
    if !recipe.programs.is_empty() {
        apt.programs(recipe.programs)?;
    }
    if recipe.kernel {
        let kernel = apt.kernel_packages()?;
        let mut fetch = vec!["download"];
        fetch.extend(kernel.iter().map(String::as_str));
        let counter = Counter::new("kernel packages", kernel.len());
        apt.run("download the kernel", &fetch, Some(counter))?;
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(apt.dir.join("archives"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "deb") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// One line per package file, for the record in the cache.
pub fn describe(packages: &[PathBuf]) -> String {
    let name = |p: &PathBuf| {
        p.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    packages.iter().map(|p| name(p) + "\n").collect()
}

impl Apt {
    fn new(work: &Path, mirror: &Mirror, suites: &[&str]) -> Result<Self> {
        let dir = work.join("apt");
        for sub in ["lists/partial", "archives/partial", "parts", "preferences"] {
            fs::create_dir_all(dir.join(sub))?;
        }
        fs::write(dir.join("status"), "")?;
        let key = mirror
            .keyring
            .as_ref()
            .map(|k| format!("[signed-by={k}] "))
            .unwrap_or_default();
        let line = |suite: &str| format!("deb {key}{} {suite} main\n", mirror.uri);
        fs::write(
            dir.join("sources.list"),
            suites.iter().map(|suite| line(suite)).collect::<String>(),
        )?;
        let newest = suites.last().context("a recipe without a release")?;
        let newest = (*newest).to_owned();
        Ok(Apt { dir, newest })
    }

    /// Downloads programs with all they depend on.
    fn programs(&self, programs: &[&str]) -> Result<()> {
        let mut install = vec!["install", "--yes", "--download-only"];
        install.extend(programs);
        let mut plan = install.clone();
        plan.push("--print-uris");
        let total = self
            .run("plan the download", &plan, None)?
            .lines()
            .filter(|l| l.starts_with('\''))
            .count();
        let counter = Counter::new("packages", total);
        self.run("download the programs", &install, Some(counter))?;
        Ok(())
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let here = |sub: &str| self.dir.join(sub).display().to_string();
        let mut command = Command::new(program);
        let places = [
            ("Dir::Etc::sourcelist", "sources.list"),
            ("Dir::Etc::sourceparts", "parts"),
            ("Dir::Etc::preferences", "no-preferences"),
            ("Dir::Etc::preferencesparts", "preferences"),
            ("Dir::State", ""),
            ("Dir::State::lists", "lists"),
            ("Dir::State::status", "status"),
            ("Dir::Cache", ""),
            ("Dir::Cache::archives", "archives"),
        ];
        for (option, sub) in places {
            command.arg("-o").arg(format!("{option}={}", here(sub)));
        }
        let choices = [
            format!("APT::Default-Release={}", self.newest),
            "APT::Architecture=amd64".into(),
            "APT::Architectures::=amd64".into(),
            "APT::Install-Recommends=0".into(),
            "APT::Sandbox::User=".into(),
            "APT::Keep-Downloaded-Packages=1".into(),
            "Debug::NoLocking=1".into(),
            "Acquire::Languages=none".into(),
            "Acquire::Retries=3".into(),
            "Binary::apt-get::APT::Update::Post-Invoke=".into(),
            "DPkg::Post-Invoke=".into(),
        ];
        for choice in choices {
            command.arg("-o").arg(choice);
        }
        command
            .args(args)
            .current_dir(self.dir.join("archives"))
            .env("LC_ALL", "C");
        command
    }

    /// Runs apt-get to its end; its output. Moves `counter` with every file that arrives.
    fn run(&self, what: &str, args: &[&str], mut counter: Option<Counter>) -> Result<String> {
        let mut command = self.command("apt-get", args);
        let log = self.dir.join("stderr");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log)?);
        let mut child = process::spawn(command, Surroundings::default())
            .with_context(|| format!("{what}: start apt-get"))?;
        let mut text = String::new();
        let mut seen = 0;
        if let Some(output) = child.stdout.take() {
            for line in BufReader::new(output).lines() {
                let line = line?;
                if line.starts_with("Get:") {
                    seen += 1;
                    if let Some(counter) = &mut counter {
                        counter.at(seen);
                    }
                }
                text.push_str(&line);
                text.push('\n');
            }
        }
        let status = child.wait()?;
        if !status.success() {
            bail!(
                "{what}: apt-get {}: {status}\n{}{}",
                args[0],
                process::tail(&log),
                text
            );
        }
        Ok(text)
    }

    /// The packages that make up the newest kernel: image, and modules where they are apart.
    fn kernel_packages(&self) -> Result<Vec<String>> {
        let mut packages: Vec<String> = Vec::new();
        let mut look = vec![KERNEL.to_owned()];
        while let Some(package) = look.pop() {
            let command = self.command("apt-cache", &["depends", "--important", &package]);
            let text = process::check(command, Surroundings::default())?;
            for name in text
                .lines()
                .filter_map(|l| l.trim().strip_prefix("Depends: "))
            {
                let part = KERNEL_PARTS.iter().any(|p| name.starts_with(p));
                let concrete = name.starts_with(|c: char| c.is_ascii_lowercase())
                    && name
                        .chars()
                        .any(|c| c.is_ascii_digit() && c != '4' && c != '6');
                if part && concrete && !packages.iter().any(|p| p == name) {
                    packages.push(name.to_owned());
                    look.push(name.to_owned());
                }
            }
        }
        if packages.is_empty() {
            bail!("{KERNEL} names no kernel");
        }
        Ok(packages)
    }
}
