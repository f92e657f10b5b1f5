//! A guest behind a virtual IOMMU, whose memory map changes with every mapping it makes.

use super::rig;
use super::{Suite, Test};
use crate::daemon::Daemon;
use crate::traffic::{self, End, Flow, FrameRun};
use crate::ui;
use crate::vm::{Vm, VmConfig};
use anyhow::{Result, ensure};
use lab_guest::wire::StreamArgs;
use std::time::Duration;

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![Test::alone(
        "virtual-iommu",
        "a guest behind intel-iommu exchanges frames",
        behind,
    )]
}

fn behind(suite: &Suite) -> Result<()> {
    let daemon = Daemon::start(suite.programs()?, suite.lab().dir(), &["soft:lab"], None)?;
    let inner = daemon.create("inner", &["--queue-pairs", "2"])?;
    let outer = daemon.create("outer", &[])?;
    let mut config = VmConfig::new("inner").device(&inner.qemu);
    config.iommu = true;
    let a = Vm::start(suite.lab(), config)?;
    let b = Vm::start(suite.lab(), VmConfig::new("outer").device(&outer.qemu))?;
    a.ready()?;
    b.ready()?;
    let groups = a.run("ls /sys/kernel/iommu_groups | wc -l")?;
    ensure!(groups.trim() != "0", "the guest's IOMMU is not in use");
    let near = rig::configure(&a, &inner, "192.0.2.1")?;
    let far = rig::configure(&b, &outer, "192.0.2.2")?;
    let features = daemon.ctl(&["show", "inner"])?["health"]["features"].to_string();
    ensure!(
        features.to_uppercase().contains("ACCESS_PLATFORM"),
        "not agreed: {features}"
    );
    traffic::ping_all(&a, "192.0.2.2", 5, "")?;
    traffic::ping_all(&b, "192.0.2.1", 5, "")?;
    let limit = Duration::from_secs(120);
    let run = FrameRun {
        stream: 1,
        size: 1000,
        rate: 200,
        count: 400,
        limit,
    };
    let (near, far) = (
        End {
            vm: &a,
            interface: &near.interface,
        },
        End {
            vm: &b,
            interface: &far.interface,
        },
    );
    for (from, to) in [(near, far), (far, near)] {
        let report = Flow::start(from, to, &run)?.finish()?;
        ensure!(report.is_perfect(), "{report:?}");
    }
    let stream = StreamArgs {
        address: "192.0.2.2".into(),
        port: 7200,
        bytes: 1 << 20,
        datagram: None,
        segments: None,
        seconds: 120.0,
    };
    let report = traffic::checked_stream(&a, &b, &stream)?;
    ui::say(&format!(
        "    {groups} IOMMU groups, 1 MiB in {:.1} s",
        report.seconds
    ));
    a.quit()?;
    b.quit()?;
    daemon.stop()
}
