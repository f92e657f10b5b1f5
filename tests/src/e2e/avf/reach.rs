//! Who reaches whom.

use super::super::rig::HOST;
use super::pair::Pair;
use crate::{traffic, ui};
use anyhow::{Result, ensure};

/// Frames of both sizes and streams, between guests and with the host.
pub fn everybody(pair: &Pair) -> Result<()> {
    let Pair {
        a,
        b,
        first,
        second,
        virtio,
        netns,
        ..
    } = pair;
    for (vm, nic) in [(a, first), (b, second)] {
        let driver = vm.run(&format!("ethtool -i {} | head -n 1", nic.interface))?;
        ensure!(driver == "driver: iavf", "{driver}");
    }
    for address in [&second.address, &virtio.address, &HOST.to_owned()] {
        traffic::ping_all(a, address, 5, "")?;
        traffic::ping_all(a, address, 5, "-s 1400")?;
    }
    traffic::ping_all(b, &first.address, 5, "")?;
    for address in [&second.address, &virtio.address] {
        for more in ["-t 2", "-t 2 -R"] {
            let rate = traffic::iperf(a, b, address, more)? / 1e6;
            ui::say(&format!("    first and {address} {more}: {rate:.0} Mbit/s"));
            ensure!(rate > 0.0, "a stream carried nothing");
        }
    }
    for reverse in [false, true] {
        let rate = traffic::iperf_with_host(netns, &a.agent, HOST, reverse)? / 1e6;
        ui::say(&format!(
            "    first and the host, reverse {reverse}: {rate:.0} Mbit/s"
        ));
        ensure!(rate > 0.0, "a stream carried nothing");
    }
    Ok(())
}
