//! A driver that comes and goes.

use super::super::rig::TAP;
use super::pair::Pair;
use crate::{limits, process, traffic};
use anyhow::{Context, Result};

/// The driver is loaded anew, its function reset, its guest rebooted, the uplink's link lost and found.
pub fn again(pair: &Pair) -> Result<()> {
    let Pair { a, first, .. } = pair;
    let reach = |what: &str| -> Result<()> {
        // A driver that finds its function reset looks again after a moment.
        let back = process::wait_for("the guest to be back", limits::SETTLE, || {
            let up = pair.restore();
            let answered = up.and_then(|()| traffic::ping(a, &pair.second.address, 1, "-W 1"));
            Ok(answered.is_ok_and(|count| count == 1).then_some(()))
        });
        back.with_context(|| what.to_owned())?;
        pair.reach(what)
    };
    for _ in 0..2 {
        a.run("rmmod iavf && insmod /lib/modules/iavf.ko")?;
        reach("after the driver was loaded anew")?;
    }
    let device = a.run(&format!(
        "basename $(readlink -f /sys/class/net/{}/device)",
        first.interface
    ))?;
    a.run(&format!("echo 1 > /sys/bus/pci/devices/{device}/reset"))?;
    reach("after a reset of its function")?;
    a.reboot()?;
    reach("after a reboot")?;
    pair.netns.ip(&format!("link set {TAP} down"))?;
    pair.netns.ip(&format!("link set {TAP} up"))?;
    reach("after the uplink flapped")
}
