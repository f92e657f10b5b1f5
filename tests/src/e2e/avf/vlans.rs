//! VLANs that guests tag themselves.

use super::pair::Pair;
use super::shown::{expect, shown, summed};
use crate::traffic::{self, End, Flow, FrameRun};
use crate::vm::Vm;
use crate::{limits, process};
use anyhow::{Context, Result, ensure};
use std::time::Duration;

/// In which VLAN each device of the second guest is; the first guest's is in both.
const WITH_AVF: u16 = 5;
const WITH_VIRTIO: u16 = 6;

/// VLANs with one of the guests in it, and addresses of one network.
const ALONE: [u16; 2] = [7, 8];

/// Numbered frames of a run, and their length without tag.
const FRAMES: u64 = 1000;
const LENGTH: u64 = 1000;

/// An interface in a VLAN, and its address.
struct Tagged<'a> {
    vm: &'a Vm,
    name: String,
}

impl<'a> Tagged<'a> {
    fn new(vm: &'a Vm, below: &str, vlan: u16, address: &str) -> Result<Self> {
        let name = format!("v{vlan}");
        vm.run(&format!(
            "ip link add link {below} name {name} type vlan id {vlan} && \
             ip addr add {address} dev {name} && ip link set {name} up"
        ))?;
        Ok(Tagged { vm, name })
    }

    fn end(&self) -> End<'_> {
        End {
            vm: self.vm,
            interface: &self.name,
        }
    }

    fn delete(self) -> Result<()> {
        self.vm.run(&format!("ip link del {}", self.name)).map(drop)
    }
}

/// The same tag reaches, another does not; tags are put in and taken out by the device as its driver wants.
pub fn apart(pair: &Pair) -> Result<()> {
    let Pair {
        a,
        b,
        first,
        second,
        virtio,
        ..
    } = pair;
    for (vm, nic) in [(a, first), (b, second)] {
        let on = ["rx-vlan-offload", "tx-vlan-offload"].map(|offload| (offload, "on"));
        let features = shown(vm, "-k", &nic.interface)?;
        expect(&features, &on)?;
        ensure!(features.contains("rx-vlan-filter: on"), "{features}");
    }
    let own = &first.interface;
    let tagged = [
        Tagged::new(a, own, WITH_AVF, "203.0.113.1/28")?,
        Tagged::new(b, &second.interface, WITH_AVF, "203.0.113.2/28")?,
        Tagged::new(a, own, WITH_VIRTIO, "203.0.113.17/28")?,
        Tagged::new(b, &virtio.interface, WITH_VIRTIO, "203.0.113.18/28")?,
    ];
    let alone = [
        Tagged::new(a, own, ALONE[0], "203.0.113.33/28")?,
        Tagged::new(b, &second.interface, ALONE[1], "203.0.113.34/28")?,
    ];
    for address in ["203.0.113.2", "203.0.113.18"] {
        traffic::ping_all(a, address, 5, "")?;
        traffic::ping_all(a, address, 5, "-s 1400")?;
        let rate = traffic::iperf(a, b, address, "-t 1")?;
        ensure!(rate > 0.0, "a tagged stream to {address} carried nothing");
    }
    let lonely = traffic::ping(a, "203.0.113.34", 2, "-W 1")?;
    ensure!(lonely == 0, "another VLAN was reached");

    filtered(pair, &alone[1])?;
    let [a5, b5, ..] = &tagged;
    stripped(pair, b5, a5)?;
    inserted(pair, a5, b5)?;
    for tagged in tagged.into_iter().chain(alone) {
        tagged.delete()?;
    }
    pair.reach("without tags again")
}

fn run(stream: u32) -> FrameRun {
    FrameRun {
        stream,
        size: LENGTH as usize,
        rate: 2000,
        count: FRAMES,
        limit: Duration::from_secs(30),
    }
}

/// Frames in a VLAN that the first guest has not joined do not reach its driver; they do when it has.
fn filtered(pair: &Pair, from: &Tagged<'_>) -> Result<()> {
    let mac = traffic::mac(pair.a_end())?;
    let untold = Flow::start_to(from.end(), pair.a_end(), &mac, &run(51))?;
    let untold = untold.finish_within(Duration::from_secs(2))?;
    ensure!(
        untold.receive.received == 0,
        "a VLAN that was not joined comes: {untold:?}"
    );
    let joined = Tagged::new(&pair.a, &pair.first.interface, ALONE[1], "203.0.113.35/28")?;
    // The driver joins by and by.
    process::wait_for("the VLAN to be joined", limits::SETTLE, || {
        let count = traffic::ping(&pair.a, "203.0.113.34", 1, "-W 1 -I v8")?;
        Ok((count == 1).then_some(()))
    })?;
    let told = Flow::start_to(from.end(), joined.end(), &mac, &run(52))?.finish()?;
    ensure!(told.is_perfect(), "{told:?}");
    joined.delete()
}

/// How much longer than untagged the first guest's driver says that the frames of a run were, in `direction`; in bytes, by
/// its own counters, which are those of buffers without what descriptors hold.
fn longer(pair: &Pair, direction: &str, from: &Tagged<'_>, to: &Tagged<'_>) -> Result<i64> {
    let look = || -> Result<u64> {
        let text = shown(&pair.a, "-S", &pair.first.interface)?;
        summed(&text, direction, "bytes")
    };
    let before = look()?;
    let report = Flow::start(from.end(), to.end(), &run(53))?.finish()?;
    ensure!(report.is_perfect(), "{report:?}");
    // The end marks are as long as frames.
    let frames = (FRAMES + 3) * LENGTH;
    Ok((look()? - before) as i64 - frames as i64)
}

/// Bytes of the tags of a run, of which stray frames do not reach the half.
const TAGS: i64 = FRAMES as i64 * 4;

/// Switches an offload of the first guest's driver, which tells its device by and by, and waits until frames are as
/// they are to be then.
fn switched(
    pair: &Pair,
    offload: &str,
    direction: &str,
    from: &Tagged<'_>,
    to: &Tagged<'_>,
) -> Result<()> {
    for (word, tags) in [("off", true), ("on", false)] {
        let interface = &pair.first.interface;
        pair.a
            .run(&format!("ethtool -K {interface} {offload} {word}"))?;
        let mut last = 0;
        process::wait_for("tags to be as they are to be", limits::SETTLE, || {
            last = longer(pair, direction, from, to)?;
            Ok(((last > TAGS / 2) == tags).then_some(()))
        })
        .with_context(|| format!("{offload} {word}: {last} bytes more than without tags"))?;
        traffic::ping_all(&pair.a, "203.0.113.2", 3, "")?;
    }
    Ok(())
}

/// With the offload the device takes tags out of what it receives, without it they are left in.
fn stripped(pair: &Pair, from: &Tagged<'_>, to: &Tagged<'_>) -> Result<()> {
    switched(pair, "rxvlan", "rx", from, to)
}

/// With the offload the device puts tags into what is sent, without it the kernel has.
fn inserted(pair: &Pair, from: &Tagged<'_>, to: &Tagged<'_>) -> Result<()> {
    switched(pair, "txvlan", "tx", from, to)
}
