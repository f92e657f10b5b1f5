//! Frames north and south between a device inside, driven by the fake VM, and the outside.

use super::account::Account;
use super::inside::{Exchange, NorthSouthReport};
use super::limits::CROSSING;
use super::outer::Outer;
use super::peer::{self, Course};
use super::wire::Wire;
use crate::limits;
use anyhow::{Context, Result, anyhow, ensure};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::thread;

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Which run it is: its frames are told apart by that. Whoever makes several on one wire counts.
    pub number: u32,
    /// Frames each way.
    pub count: u64,
    /// Bytes of each, Ethernet header included.
    pub size: usize,
    /// Frames that are on their way at once, at most.
    pub window: u64,
}

/// What the fake VM drives.
#[derive(Clone, Copy, Debug)]
pub enum Driven<'a> {
    /// The device at this vfio-user socket.
    Socket(&'a str),
    /// The same, which is an adaptive virtual function.
    Avf(&'a str),
    /// The virtio-net function at this PCI address itself, by the kernel's VFIO.
    Function(&'a str),
    /// A pool of the 82576 at this PCI address, without any device.
    Pool(&'a str),
}

impl Driven<'_> {
    /// What `lab inside` is told.
    fn words(self) -> Vec<String> {
        match self {
            Driven::Socket(path) => vec!["north-south".into(), format!("--socket={path}")],
            Driven::Avf(path) => [Driven::Socket(path).words(), vec!["--avf".into()]].concat(),
            Driven::Pool(address) => vec!["plain-igb".into(), address.to_owned()],
            Driven::Function(address) => vec!["plain-vfio".into(), address.to_owned()],
        }
    }
}

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Crossing {
    /// What the fake VM says.
    pub inside: NorthSouthReport,
    /// What the outside says.
    pub outside: Account,
}

impl Crossing {
    /// Has the fake VM inside drive the device at `socket`, and the outside answer it.
    ///
    /// # Errors
    /// If either end cannot do its part; frames that are lost or wrong are in the result.
    pub fn make(outer: &Outer, wire: &mut Wire, socket: &str, run: &Run) -> Result<Self> {
        Self::of(
            outer,
            wire,
            Driven::Socket(socket),
            run,
            &Exchange::new(run),
        )
    }

    /// Has the fake VM inside drive something in the way that `exchange` says, and the outside answer it.
    ///
    /// # Errors
    /// As [`Crossing::make`].
    pub fn of(
        outer: &Outer,
        wire: &mut Wire,
        driven: Driven<'_>,
        run: &Run,
        exchange: &Exchange,
    ) -> Result<Self> {
        let words = [driven.words(), exchange.words()].concat();
        let (inside, outside) = answered(outer, wire, &words, run, &Course::default())?;
        Ok(Crossing { inside, outside })
    }

    /// Fails unless all frames went both ways, unharmed and in order.
    ///
    /// # Errors
    /// With both accounts.
    pub fn must_be_perfect(&self, run: &Run) -> Result<()> {
        let (inside, outside) = (&self.inside.account, &self.outside);
        ensure!(
            inside.is_perfect(run.count) && outside.is_perfect(run.count),
            "{run:?}: inside {inside:?}, outside {outside:?}"
        );
        Ok(())
    }
}

/// Runs `lab inside` with these words inside, and has the outside answer the frames of `run` meanwhile; the reports of
/// both.
///
/// # Errors
/// If either end cannot do its part.
pub fn answered<R: DeserializeOwned + Debug>(
    outer: &Outer,
    wire: &mut Wire,
    words: &[String],
    run: &Run,
    course: &Course,
) -> Result<(R, Account)> {
    let (inside, outside) = thread::scope(|scope| {
        let outside = scope.spawn(|| peer::answer(wire, run, course));
        let inside = ask::<R>(outer, words);
        // Nothing more can come from inside.
        course.stop();
        (inside, outside.join())
    });
    let outside = outside.map_err(|_| anyhow!("the outside's thread died"))?;
    match (inside, outside) {
        (Ok(inside), Ok(outside)) => Ok((inside, outside)),
        (Ok(inside), Err(error)) => Err(error.context(format!("inside: {inside:?}"))),
        (Err(error), Ok(outside)) => Err(error.context(format!("outside: {outside:?}"))),
        (Err(inside), Err(outside)) => Err(inside.context(format!("outside: {outside:#}"))),
    }
}

/// Runs a scenario's program inside: `lab inside` with these words; its report.
///
/// # Errors
/// If it ends without one.
pub fn ask<R: DeserializeOwned>(outer: &Outer, words: &[String]) -> Result<R> {
    let program = outer.program.to_string_lossy().into_owned();
    let mut argv = vec![program.as_str(), "--json", "inside"];
    argv.extend(words.iter().map(String::as_str));
    let said = outer.start(&argv, CROSSING + limits::GUEST_SLACK)?.wait()?;
    let line = said.stdout.lines().last().unwrap_or_default();
    // A run in which frames were lost ends with failure, and has a report all the same.
    serde_json::from_str(line).with_context(|| {
        format!(
            "`{}` ended with {:?} and no report: {}{}",
            argv.join(" "),
            said.outcome,
            said.stdout,
            said.stderr
        )
    })
}
