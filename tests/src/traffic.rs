//! Traffic between guests: pings, numbered frames, checked streams, bulk throughput.

pub mod planned;

use crate::limits;
use crate::netns::Netns;
use crate::process::{self, Process};
use crate::vm::{Agent, Job, Vm};
use anyhow::{Context, Result, bail};
use lab_guest::wire::{
    ReceiveFrames, ReceiveReport, SendFrames, SendReport, StreamArgs, StreamReport,
};
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// How long late frames are awaited after the end mark, in milliseconds.
const GRACE_MS: u64 = 3000;

/// How many echo requests were answered, according to ping's last lines.
pub fn answers(ping: &str) -> Option<u32> {
    let line = ping.lines().find(|l| l.contains("packets transmitted"))?;
    let part = line.split(", ").find(|p| p.contains("received"))?;
    part.split_whitespace().next()?.parse().ok()
}

/// Sends echo requests from a guest; how many were answered.
///
/// # Errors
/// If ping cannot be run.
pub fn ping(vm: &Vm, address: &str, count: u32, more: &str) -> Result<u32> {
    let out = vm.try_run(&format!("ping -c {count} -i 0.1 -W 5 {more} {address}"))?;
    answers(&out.stdout).with_context(|| format!("ping {address}: {}", out.stderr))
}

/// Sends echo requests from a guest, all of which must be answered.
///
/// # Errors
/// If one is not.
pub fn ping_all(vm: &Vm, address: &str, count: u32, more: &str) -> Result<()> {
    let got = ping(vm, address, count, more)?;
    if got != count {
        bail!(
            "{}: {got} of {count} echo requests to {address} were answered",
            vm.name()
        );
    }
    Ok(())
}

/// One direction of numbered frames.
#[derive(Clone, Debug)]
pub struct FrameRun {
    /// Keeps concurrent streams apart.
    pub stream: u32,
    /// Frame length with Ethernet header.
    pub size: usize,
    /// Frames a second, 0 for as fast as it goes.
    pub rate: u64,
    /// Frames to send, 0 until stopped.
    pub count: u64,
    /// Longest time the run may take.
    pub limit: Duration,
}

/// Numbered frames on their way from one guest to another.
pub struct Flow<'a> {
    from: &'a Vm,
    to: &'a Vm,
    send: Job,
    receive: Job,
}

/// What sender and receiver of a flow counted.
#[derive(Clone, Debug, Serialize)]
pub struct FlowReport {
    /// The sender's account.
    pub send: SendReport,
    /// The receiver's account.
    pub receive: ReceiveReport,
}

impl FlowReport {
    /// True if every frame arrived once and intact.
    #[must_use]
    pub fn is_perfect(&self) -> bool {
        let r = &self.receive;
        r.announced == Some(self.send.sent)
            && r.received == self.send.sent
            && r.lost + r.duplicate + r.corrupt == 0
    }
}

/// Totals over several flows.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FrameReport {
    /// Frames a second that each flow was asked for.
    pub rate: u64,
    /// Which run of the same work this was; more than 1 if the guests could not bear the rate.
    pub run: u32,
    /// Frames sent.
    pub sent: u64,
    /// Frames received.
    pub received: u64,
    /// Frames lost.
    pub lost: u64,
}

impl FrameReport {
    /// Adds up flows that ran at `rate`.
    #[must_use]
    pub fn of(rate: u64, run: u32, flows: &[FlowReport]) -> Self {
        let mut total = FrameReport {
            rate,
            run,
            sent: 0,
            received: 0,
            lost: 0,
        };
        for flow in flows {
            total.sent += flow.send.sent;
            total.received += flow.receive.received;
            total.lost += flow.receive.lost;
        }
        total
    }
}

/// An interface of a guest.
#[derive(Clone, Copy)]
pub struct End<'a> {
    /// The guest.
    pub vm: &'a Vm,
    /// The interface's name.
    pub interface: &'a str,
}

impl<'a> Flow<'a> {
    /// Starts receiver, then sender.
    ///
    /// # Errors
    /// If either cannot be started.
    pub fn start(from: End<'a>, to: End<'a>, run: &FrameRun) -> Result<Self> {
        let destination = mac(to)?;
        Self::start_to(from, to, &destination, run)
    }

    /// Starts receiver, then sender, with another destination address than the receiver's own.
    ///
    /// # Errors
    /// If either cannot be started.
    pub fn start_to(from: End<'a>, to: End<'a>, destination: &str, run: &FrameRun) -> Result<Self> {
        Self::begin(from, to, destination, run, false)
    }

    /// Starts receiver, then sender, where the receiver's interface leaves check sequences behind frames: they are
    /// looked at, too.
    ///
    /// # Errors
    /// If either cannot be started.
    pub fn start_with_sequences(from: End<'a>, to: End<'a>, run: &FrameRun) -> Result<Self> {
        Self::begin(from, to, &mac(to)?, run, true)
    }

    fn begin(
        from: End<'a>,
        to: End<'a>,
        destination: &str,
        run: &FrameRun,
        check_sequences: bool,
    ) -> Result<Self> {
        let seconds = run.limit.as_secs_f64();
        let receive = ReceiveFrames {
            interface: to.interface.to_owned(),
            stream: run.stream,
            seconds,
            grace_ms: GRACE_MS,
            check_sequences,
        };
        let send = SendFrames {
            interface: from.interface.to_owned(),
            destination: destination.to_owned(),
            stream: run.stream,
            size: run.size,
            rate: run.rate,
            count: run.count,
            seconds: 0.0,
        };
        let receive = to
            .vm
            .start_tool("frames-receive", &receive, run.limit * 2)?;
        wait_for_packet_socket(to.vm)?;
        let send = from.vm.start_tool("frames-send", &send, run.limit)?;
        Ok(Flow {
            from: from.vm,
            to: to.vm,
            send,
            receive,
        })
    }

    /// Asks the sender to stop.
    ///
    /// # Errors
    /// If the guest cannot be reached.
    pub fn stop(&self) -> Result<()> {
        self.send.stop()
    }

    /// Waits for the sender, gives the receiver `patience` for what may still come, and ends it.
    ///
    /// # Errors
    /// If either failed.
    pub fn finish_within(self, patience: Duration) -> Result<FlowReport> {
        let send = self.from.report(self.send)?;
        let deadline = std::time::Instant::now() + patience;
        let mut pause = std::time::Duration::from_millis(20);
        while self.receive.is_running() && std::time::Instant::now() < deadline {
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(200));
        }
        self.receive.stop()?;
        let receive = self.to.report(self.receive)?;
        Ok(FlowReport { send, receive })
    }

    /// Waits for both ends.
    ///
    /// # Errors
    /// If either failed.
    pub fn finish(self) -> Result<FlowReport> {
        let send = self.from.report(self.send)?;
        let receive = self.to.report(self.receive)?;
        Ok(FlowReport { send, receive })
    }
}

/// Waits until a receiver's socket is open in the guest, so that no frame is sent before it.
fn wait_for_packet_socket(vm: &Vm) -> Result<()> {
    // The type of numbered frames as /proc shows it, an interface, and that the socket gets frames by now.
    let wanted = format!("{:04x}", lab_guest::frame::ETHERTYPE);
    vm.run(&format!(
        "n=0; until grep -q -E ' {wanted} +[0-9]+ +1 ' /proc/net/packet; do n=$((n+1)); [ $n -lt 500 ]; usleep 10000; done"
    ))
    .map(drop)
    .context("the frame receiver did not open its socket")
}

/// The MAC address of a guest's interface.
///
/// # Errors
/// If there is no such interface.
pub fn mac(end: End<'_>) -> Result<String> {
    end.vm
        .run(&format!("cat /sys/class/net/{}/address", end.interface))
}

/// Frames sent as fast as they go, to find where the search for the loss-free rate begins.
const BLAST: u64 = 20_000;

/// Halvings of the distance between a rate that loses frames and one that does not.
const ROUNDS: u32 = 4;

/// Finds a rate at which both ends send to each other at the same time and no frame is lost: a
/// search in runs of one second, then a run of three seconds that must bear the result out.
///
/// # Errors
/// If no rate is free of loss.
pub fn loss_free_rate(a: End<'_>, b: End<'_>, size: usize) -> Result<u64> {
    let limit = Duration::from_secs(60);
    let mut stream = 9000;
    let mut probe = |rate: u64, seconds: u64| -> Result<bool> {
        stream += 2;
        let count = rate * seconds;
        let run = |stream| FrameRun {
            stream,
            size,
            rate,
            count,
            limit,
        };
        let there = Flow::start(a, b, &run(stream))?;
        let back = Flow::start(b, a, &run(stream + 1))?;
        let flows = [there.finish()?, back.finish()?];
        let in_time = |f: &FlowReport| f.send.seconds < seconds as f64 + 0.5;
        Ok(flows.iter().all(|f| f.is_perfect() && in_time(f)))
    };
    let run = FrameRun {
        stream: 9000,
        size,
        rate: 0,
        count: BLAST,
        limit,
    };
    let blast = Flow::start(a, b, &run)?.finish()?;
    let top = (blast.send.sent as f64 / blast.send.seconds.max(0.001)) as u64;
    let (mut good, mut bad) = (0, top.max(400));
    for _ in 0..ROUNDS {
        let rate = (good + bad) / 2;
        if probe(rate, 1)? {
            good = rate;
        } else {
            bad = rate;
        }
    }
    let mut rate = good.max(bad / 2);
    while rate > 0 {
        if probe(rate, 3)? {
            return Ok(rate);
        }
        rate /= 2;
    }
    bail!("frames are lost at every rate tried")
}

/// Runs iperf3 from one guest to another for a few seconds; bits a second that arrived.
///
/// # Errors
/// If either end fails.
pub fn iperf(client: &Vm, server: &Vm, address: &str, more: &str) -> Result<f64> {
    let ends = [&client.agent, &server.agent];
    between(Duration::from_secs(60), ends, address, more)
}

/// The same, briefly, from the first of two guests that need so long to begin to the second.
///
/// # Errors
/// As [`iperf`].
pub fn iperf_between(limit: Duration, ends: [&Agent; 2], address: &str) -> Result<f64> {
    between(limit, ends, address, "-t 2")
}

fn between(limit: Duration, ends: [&Agent; 2], address: &str, more: &str) -> Result<f64> {
    const LISTENING: &str = "n=0; until grep -q ':1451 .* 0A ' /proc/net/tcp; do n=$((n+1)); [ $n -lt 3000 ]; usleep 10000; done";
    let [client, server] = ends;
    let run = |agent: &Agent, line: &str| agent.start(&["sh", "-c", line], limit);
    let serve = run(server, &format!("iperf3 -s -1 -B {address} -J"))?;
    run(server, LISTENING)?.check()?;
    let text = run(client, &format!("iperf3 -c {address} -J {more}"))?.check()?;
    serve.check()?;
    received_rate(&text)
}

/// Runs iperf3 from a guest to the host's side, or back with `reverse`; bits a second that arrived.
///
/// # Errors
/// If either end fails.
pub fn iperf_with_host(netns: &Netns, guest: &Agent, host: &str, reverse: bool) -> Result<f64> {
    iperf_within(limits::GUEST_COMMAND, netns, guest, host, reverse)
}

/// The same with a guest that needs so long to begin.
///
/// # Errors
/// As [`iperf_with_host`].
pub fn iperf_within(
    limit: Duration,
    netns: &Netns,
    guest: &Agent,
    host: &str,
    reverse: bool,
) -> Result<f64> {
    let mut serve = netns.tree().program("usr/bin/iperf3");
    serve.args(["-s", "-1", "-B", host, "--forceflush"]);
    let log = tempfile::NamedTempFile::new().context("iperf3's log")?;
    let server = Process::start("iperf3", serve, netns.surroundings(), log.path())?;
    process::wait_for("iperf3 to listen", limits::SETTLE, || {
        let said = std::fs::read_to_string(log.path())?;
        Ok(said.contains("listening").then_some(()))
    })?;
    let more = if reverse { "-R" } else { "" };
    let line = format!("iperf3 -c {host} -t 2 -J {more}");
    let text = guest.start(&["sh", "-c", &line], limit)?.check()?;
    server.wait(limits::SETTLE)?;
    received_rate(&text)
}

fn received_rate(text: &str) -> Result<f64> {
    let report: Value = serde_json::from_str(text).context("iperf3's report")?;
    let rate = report["end"]["sum_received"]["bits_per_second"].as_f64();
    rate.with_context(|| format!("no rate in iperf3's report: {}", report["error"]))
}

/// Sends a stream from one guest to another and checks every byte of it there.
///
/// # Errors
/// If it fails or anything was wrong with what arrived.
pub fn checked_stream(from: &Vm, to: &Vm, args: &StreamArgs) -> Result<StreamReport> {
    let limit = Duration::from_secs_f64(args.seconds * 2.0 + 10.0);
    let receive = to.start_tool("stream-receive", args, limit)?;
    let (table, state) = if args.datagram.is_some() {
        ("udp", "07")
    } else {
        ("tcp", "0A")
    };
    to.run(&format!(
        "n=0; until grep -q ':{:04X} .* {state} ' /proc/net/{table}; do n=$((n+1)); [ $n -lt 500 ]; usleep 10000; done",
        args.port
    ))?;
    let sent: StreamReport = from.report(from.start_tool("stream-send", args, limit)?)?;
    let got: StreamReport = to.report(receive)?;
    if got.corrupt != 0 || got.lost != 0 || got.bytes != sent.bytes {
        bail!("sent {} bytes, received {got:?}", sent.bytes);
    }
    Ok(got)
}

#[cfg(test)]
mod tests;
