//! A network namespace of the lab's own, gone with the last process and descriptor in it.

use crate::fetch::Tree;
use crate::process::{self, Output, Surroundings};
use crate::{host, limits, sys};
use anyhow::{Context, Result, bail};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Command;
use std::time::Duration;

/// The namespace, with its loopback up and nothing else in it.
pub struct Netns {
    fd: OwnedFd,
    tree: Tree,
}

impl Netns {
    /// Makes a namespace.
    ///
    /// # Errors
    /// Without the right to make one (root, in practice).
    pub fn new(tree: &Tree) -> Result<Self> {
        if !host::is_root() {
            bail!("a network namespace for the host's side takes root; run this as root");
        }
        let fd = sys::new_netns().context("make a network namespace")?;
        let netns = Netns {
            fd,
            tree: tree.clone(),
        };
        netns.ip("link set lo up")?;
        Ok(netns)
    }

    /// The tree whose programs are used inside.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The namespace itself.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// What children need to be inside.
    #[must_use]
    pub fn surroundings(&self) -> Surroundings {
        Surroundings {
            netns: Some(sys::raw(&self.fd)),
            keep: Vec::new(),
        }
    }

    /// Runs `ip` with these words inside.
    ///
    /// # Errors
    /// If it fails; its words are in the error.
    pub fn ip(&self, words: &str) -> Result<String> {
        let mut command = self.tree.program("usr/bin/ip");
        command.args(words.split_whitespace());
        process::check(command, self.surroundings())
    }

    /// Runs any command inside, whatever its exit code.
    ///
    /// # Errors
    /// If it cannot be started or does not end in time.
    pub fn run(&self, command: Command, limit: Duration) -> Result<Output> {
        process::output(command, self.surroundings(), limit)
    }

    /// Waits until an interface of this name is there.
    ///
    /// # Errors
    /// If it does not appear in time.
    pub fn wait_for_link(&self, name: &str) -> Result<()> {
        process::wait_for(&format!("interface {name}"), limits::SETTLE, || {
            Ok(self.links()?.iter().any(|l| l == name).then_some(()))
        })
    }

    /// Names of all interfaces inside except loopback.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub fn links(&self) -> Result<Vec<String>> {
        let text = self.ip("-json link show")?;
        let links: Vec<serde_json::Value> = serde_json::from_str(&text).context("ip -json")?;
        let name = |l: &serde_json::Value| l["ifname"].as_str().map(str::to_owned);
        Ok(links
            .iter()
            .filter_map(name)
            .filter(|n| n != "lo")
            .collect())
    }

    /// Sends `count` echo requests to `address`; how many came back.
    ///
    /// # Errors
    /// If ping cannot be run.
    pub fn ping(&self, address: &str, count: u32) -> Result<u32> {
        let mut command = self.tree.busybox("ping");
        command.args(["-c", &count.to_string(), "-i", "0.1", "-W", "5", address]);
        let out = self.run(command, limits::GUEST_COMMAND)?;
        crate::traffic::answers(&out.stdout).with_context(|| format!("ping: {}", out.stderr))
    }
}
