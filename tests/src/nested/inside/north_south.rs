//! The fake VM at a device's socket sends numbered frames to the outside and verifies its answers.

use crate::fakevm::avf::{AvfVm, AvfVmConfig};
use crate::fakevm::bus::Bus;
use crate::fakevm::net::{feature, rx_queue, tx_queue};
use crate::fakevm::{FakeVm, FakeVmConfig};
use crate::nested::account::{Account, MAX_RUN, Watch, north, south};
use crate::nested::limits::{CLING, FORGIVEN, LOOK, MAX_WINDOW, PATIENCE};
use crate::nested::peer;
use crate::nested::traffic::Run;
use crate::{process, ui};
use anyhow::{Context, Result, ensure};
use clap::Args;
use lab_guest::frame;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// Options of `lab inside north-south`.
#[derive(Clone, Debug, Args)]
pub struct NorthSouthArgs {
    /// The device's vfio-user socket.
    #[arg(long, value_name = "PATH")]
    pub socket: PathBuf,
    /// The device is an AVF function, and not one of virtio-net.
    #[arg(long)]
    pub avf: bool,
    /// When the server has gone, keep what it gave until this file is there.
    #[arg(long, value_name = "FILE")]
    pub cling: Option<PathBuf>,
    /// Has buffers used in order (VIRTIO_F_IN_ORDER), which the device has to offer.
    #[arg(long)]
    pub in_order: bool,
    /// What is exchanged.
    #[command(flatten)]
    pub exchange: Exchange,
}

/// What is exchanged with the outside.
#[derive(Clone, Debug, Args)]
pub struct Exchange {
    /// Frames each way.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub count: u64,
    /// Bytes of a frame, Ethernet header included and checksum not.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(60..=1514))]
    pub size: u16,
    /// Frames that are on their way at once, at most: answered ones make room for others.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=MAX_WINDOW))]
    pub window: u64,
    /// Who answers.
    #[arg(long, value_name = "MAC", value_parser = mac, default_value = "02:00:00:00:ff:01")]
    pub peer: [u8; 6],
    /// Which run it is; the outside has to be told the same.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=i64::from(MAX_RUN)))]
    pub run: u32,
    /// Seconds without any answer after which what is missing counts as lost.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub patience: u64,
    /// What has not been answered when nothing has come for a moment is lost, and makes room for more.
    #[arg(long)]
    pub forgive: bool,
    /// Polls for answers, where it would wait for interrupts else.
    #[arg(long)]
    pub poll: bool,
    /// Ends before all of it when this file is there.
    #[arg(long, value_name = "FILE")]
    pub until: Option<PathBuf>,
    /// A process of whose threads the context switches are counted meanwhile.
    #[arg(long, value_name = "PID")]
    pub watch: Option<u32>,
}

/// What the scenario prints.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct NorthSouthReport {
    /// Whether everything came, unharmed and in order.
    pub ok: bool,
    /// The account of this end.
    #[serde(flatten)]
    pub account: Account,
    /// From the first frame to the last answer.
    pub seconds: f64,
    /// Frames a second, each way.
    pub frames_per_second: f64,
    /// The doorbells of the queues are mapped.
    pub mapped: bool,
    /// Messages of the fake VM's to and from its device's server, from the first frame to the last answer.
    pub messages: u64,
    /// Context switches of the process that was watched meanwhile.
    pub switches: Option<u64>,
}

impl NorthSouthReport {
    /// Tells it to the person; the report as an object.
    pub(super) fn told(&self) -> Result<Value> {
        ui::say(&format!("{self:?}"));
        Ok(serde_json::to_value(self)?)
    }
}

impl Exchange {
    /// What [`Run`] says.
    #[must_use]
    pub fn new(run: &Run) -> Self {
        Exchange {
            count: run.count,
            size: u16::try_from(run.size).unwrap_or(u16::MAX),
            window: run.window,
            peer: peer::MAC,
            run: run.number,
            patience: PATIENCE.as_secs(),
            forgive: false,
            poll: false,
            until: None,
            watch: None,
        }
    }

    /// The words that say the same.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let mac = self.peer.map(|byte| format!("{byte:02x}")).join(":");
        let mut words = vec![
            format!("--count={}", self.count),
            format!("--size={}", self.size),
            format!("--window={}", self.window),
            format!("--peer={mac}"),
            format!("--run={}", self.run),
            format!("--patience={}", self.patience),
        ];
        words.extend(self.forgive.then(|| "--forgive".to_owned()));
        words.extend(self.poll.then(|| "--poll".to_owned()));
        let until = self.until.iter();
        words.extend(until.map(|file| format!("--until={}", file.display())));
        words.extend(self.watch.map(|pid| format!("--watch={pid}")));
        words
    }
}

fn mac(text: &str) -> Result<[u8; 6], String> {
    frame::parse_mac(text).ok_or_else(|| format!("{text:?} is no MAC address"))
}

/// Runs the scenario; the report as an object.
///
/// # Errors
/// If the device cannot be driven. Frames that are lost or wrong are in the report.
pub fn run(args: &NorthSouthArgs) -> Result<Value> {
    let socket = args.socket.display();
    let attach = || format!("attach the fake VM to {socket}");
    if args.avf {
        let vm = AvfVm::connect(&args.socket, AvfVmConfig::default());
        return drive(vm.with_context(attach)?, args);
    }
    let mut config = FakeVmConfig::default();
    if args.in_order {
        config.features |= feature::IN_ORDER;
    }
    let vm = FakeVm::connect(&args.socket, config).with_context(attach)?;
    let agreed = vm.features();
    ensure!(
        !args.in_order || agreed & feature::IN_ORDER != 0,
        "the device of {socket} does not use buffers in order: features {agreed:#x}"
    );
    drive(vm, args)
}

fn drive(mut vm: impl End, args: &NorthSouthArgs) -> Result<Value> {
    let socket = args.socket.display();
    let report = exchange(&mut vm, &args.exchange);
    if let (Err(error), Some(file)) = (&report, &args.cling) {
        ui::say(&format!("{error:#}; what the server gave is kept"));
        process::wait_for("leave to let go", CLING, || Ok(file.exists().then_some(())))?;
    }
    let report = report.with_context(|| format!("drive the device of {socket}"))?;
    report.told()
}

/// Whatever sends and receives frames here.
pub(super) trait End {
    /// Its address.
    fn mac(&mut self) -> Result<[u8; 6]>;

    /// Sends frames; waits for room.
    fn send_burst(&mut self, frames: &[&[u8]]) -> Result<()>;

    /// Takes a frame if one is there.
    fn poll(&mut self, frame: &mut Vec<u8>) -> Result<bool>;

    /// Waits for a frame.
    fn receive(&mut self, timeout: Duration) -> Result<Option<Vec<u8>>>;

    /// Its doorbells are mapped.
    fn mapped(&self) -> bool {
        true
    }

    /// Messages so far.
    fn messages(&self) -> u64 {
        0
    }
}

impl<B: Bus> End for FakeVm<B> {
    fn mac(&mut self) -> Result<[u8; 6]> {
        Ok(FakeVm::mac(self)?)
    }

    fn send_burst(&mut self, frames: &[&[u8]]) -> Result<()> {
        Ok(FakeVm::send_burst(self, frames)?)
    }

    fn poll(&mut self, frame: &mut Vec<u8>) -> Result<bool> {
        Ok(self.poll_rx(0, frame)?.is_some())
    }

    fn receive(&mut self, timeout: Duration) -> Result<Option<Vec<u8>>> {
        Ok(self.recv(timeout)?)
    }

    fn mapped(&self) -> bool {
        let queues = [rx_queue(0), tx_queue(0)];
        queues.iter().all(|queue| self.doorbell_is_mapped(*queue))
    }

    fn messages(&self) -> u64 {
        self.client.messages()
    }
}

impl<B: Bus> End for AvfVm<B> {
    fn mac(&mut self) -> Result<[u8; 6]> {
        Ok(AvfVm::mac(self))
    }

    fn send_burst(&mut self, frames: &[&[u8]]) -> Result<()> {
        Ok(AvfVm::send_burst(self, frames)?)
    }

    fn poll(&mut self, frame: &mut Vec<u8>) -> Result<bool> {
        Ok(self.poll_rx(0, frame)?.is_some())
    }

    fn receive(&mut self, timeout: Duration) -> Result<Option<Vec<u8>>> {
        Ok(self.recv(timeout)?)
    }

    fn mapped(&self) -> bool {
        let queues = [rx_queue(0), tx_queue(0)];
        queues.iter().all(|queue| self.doorbell_is_mapped(*queue))
    }

    fn messages(&self) -> u64 {
        self.client.messages()
    }
}

/// Exchanges frames with the outside.
pub(super) fn exchange<E: End>(end: &mut E, args: &Exchange) -> Result<NorthSouthReport> {
    let on = |_: &mut E, _| Ok(!args.until.as_ref().is_some_and(|file| file.exists()));
    exchange_while(end, args, on)
}

/// Exchanges frames with the outside, as long as `on`, which is told how many have been answered, says so.
pub(super) fn exchange_while<E: End>(
    end: &mut E,
    args: &Exchange,
    mut on: impl FnMut(&mut E, u64) -> Result<bool>,
) -> Result<NorthSouthReport> {
    let (own, stream) = (end.mac()?, north(args.run));
    let patience = Duration::from_secs(args.patience);
    let mut watch = Watch::new(south(args.run));
    let (mut sent, mut lost): (u64, u64) = (0, 0);
    let mut frames = vec![vec![0; args.size.into()]; args.window as usize];
    let mut frame_in = Vec::new();
    let mapped = end.mapped();
    let before = (end.messages(), args.watch.map(switches).transpose()?);
    let begun = Instant::now();
    let mut last = begun;
    while watch.received() + lost < args.count
        && last.elapsed() < patience
        && on(end, watch.received())?
    {
        let on_their_way = sent.saturating_sub(watch.received() + lost);
        let room = args.window.saturating_sub(on_their_way);
        let burst = &mut frames[..room.min(args.count - sent) as usize];
        for (number, out) in (sent..).zip(&mut *burst) {
            frame::write(out, args.peer, own, stream, number, false);
        }
        let burst: Vec<&[u8]> = burst.iter().map(Vec::as_slice).collect();
        end.send_burst(&burst)?;
        sent += burst.len() as u64;
        let first = if args.poll {
            polled(end)?
        } else {
            end.receive(LOOK)?
        };
        let Some(first) = first else {
            if args.forgive && last.elapsed() > FORGIVEN {
                lost = sent.saturating_sub(watch.received());
            }
            continue;
        };
        let mut answered = watch.look(&first).is_some();
        while end.poll(&mut frame_in)? {
            answered |= watch.look(&frame_in).is_some();
        }
        if answered {
            last = Instant::now();
        }
    }
    let after = (end.messages(), args.watch.map(switches).transpose()?);
    let account = watch.account(sent, args.count);
    let seconds = last.duration_since(begun).as_secs_f64();
    Ok(NorthSouthReport {
        ok: account.is_perfect(args.count),
        account,
        seconds,
        frames_per_second: if seconds > 0.0 {
            account.received as f64 / seconds
        } else {
            0.0
        },
        mapped,
        messages: after.0 - before.0,
        switches: after
            .1
            .zip(before.1)
            .map(|(after, before)| since(&before, &after)),
    })
}

/// [`End::receive`] without sleeping.
fn polled<E: End>(end: &mut E) -> Result<Option<Vec<u8>>> {
    let deadline = Instant::now() + LOOK;
    let mut frame = Vec::new();
    while !end.poll(&mut frame)? {
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::yield_now();
    }
    Ok(Some(frame))
}

/// Context switches so far, wanted and unwanted, of each thread of a process.
fn switches(pid: u32) -> Result<BTreeMap<OsString, u64>> {
    let mut all = BTreeMap::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?;
        // One that has just ended has no status.
        if let Ok(status) = fs::read_to_string(thread.path().join("status")) {
            all.insert(thread.file_name(), switches_in(&status)?);
        }
    }
    Ok(all)
}

/// How many there were between two looks. A thread that has ended, as one of a pool does that nothing wanted for a while,
/// has none.
fn since(before: &BTreeMap<OsString, u64>, after: &BTreeMap<OsString, u64>) -> u64 {
    let more = |(thread, count): (&OsString, &u64)| {
        count.saturating_sub(before.get(thread).copied().unwrap_or_default())
    };
    after.iter().map(more).sum()
}

/// Context switches in a thread's `status`.
fn switches_in(status: &str) -> Result<u64> {
    let lines = ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"];
    let number = |name: &&str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line?.trim().parse::<u64>().ok()
    };
    let numbers: Option<Vec<u64>> = lines.iter().map(number).collect();
    Ok(numbers
        .context("no context switches in a thread's status")?
        .iter()
        .sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(subcommand)]
        verb: Verb,
    }

    #[derive(clap::Subcommand)]
    enum Verb {
        NorthSouth(NorthSouthArgs),
    }

    fn parsed(words: &[String]) -> Result<NorthSouthArgs, clap::Error> {
        let words = std::iter::once("inside".to_owned()).chain(words.iter().cloned());
        Cli::try_parse_from(words).map(|cli| match cli.verb {
            Verb::NorthSouth(args) => args,
        })
    }

    #[test]
    fn the_words_say_what_was_asked_for() {
        let run = Run {
            number: MAX_RUN,
            count: 7,
            size: 1514,
            window: MAX_WINDOW,
        };
        let mut wanted = Exchange::new(&run);
        (wanted.watch, wanted.forgive) = (Some(17), true);
        let words = |exchange: &Exchange| {
            let mut words = vec!["north-south".into(), "--socket=/run/x y.sock".into()];
            words.extend(exchange.words());
            words
        };
        let NorthSouthArgs {
            socket, exchange, ..
        } = parsed(&words(&wanted)).unwrap();
        assert_eq!(socket, PathBuf::from("/run/x y.sock"));
        let Exchange {
            count,
            size,
            window,
            ..
        } = exchange;
        assert_eq!((count, size, window), (7, 1514, MAX_WINDOW));
        assert_eq!((exchange.peer, exchange.run), (peer::MAC, MAX_RUN));
        assert_eq!((exchange.watch, exchange.forgive), (Some(17), true));
        let more = Run {
            window: MAX_WINDOW + 1,
            ..run
        };
        assert!(parsed(&words(&Exchange::new(&more))).is_err());
    }

    #[test]
    fn both_kinds_of_context_switches_count() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t40\nnonvoluntary_ctxt_switches:\t2\n";
        assert_eq!(switches_in(status).unwrap(), 42);
        assert!(switches_in("Name:\tx\nvoluntary_ctxt_switches:\t40\n").is_err());
        let look = |counts: &[(&str, u64)]| -> BTreeMap<OsString, u64> {
            let one = |&(thread, count): &(&str, u64)| (thread.into(), count);
            counts.iter().map(one).collect()
        };
        let before = look(&[("1", 10), ("2", 5), ("3", 7)]);
        assert_eq!(since(&before, &look(&[("1", 10), ("2", 8), ("4", 2)])), 5);
    }

    #[test]
    fn a_report_is_one_flat_object() {
        let report = NorthSouthReport {
            ok: true,
            account: Account::default(),
            seconds: 1.0,
            frames_per_second: 0.0,
            mapped: true,
            messages: 0,
            switches: None,
        };
        let value = serde_json::to_value(report).unwrap();
        for key in [
            "sent",
            "received",
            "lost",
            "wrong",
            "seconds",
            "frames_per_second",
        ] {
            assert!(value[key].is_number(), "{key} in {value}");
        }
    }
}
