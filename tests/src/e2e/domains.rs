//! IOMMU domains for the pools of one function, by virtual functions that nobody drives.

use super::nested::boot_with;
use super::{Suite, Test};
use crate::nested::inside::domains::{Attempt, DomainsReport, IN, PAGES, PHYSICAL_PAGE};
use crate::nested::{Function, Model, Outer, Outside, Plug};
use crate::{limits, process, ui};
use anyhow::{Context, Result, ensure};

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![Test::nested(
        "nested-igb-domains",
        "with virtual functions on, a pool's DMA reaches what is mapped for its virtual function, and nothing else",
        domains,
    )]
}

/// Virtual functions of an 82576: one for each pool.
const VIRTUALS: u16 = 8;

/// What the lab shares with itself: any UUID.
const TOKEN: &str = "2d6a3f6e-52a9-4f0b-9c3c-0b6b7a0f5e11";

/// What a frame comes to that has nothing in its way.
const DONE: Attempt = Attempt {
    sent: true,
    received: true,
    arrived: true,
    sender_told: true,
    receiver_told: true,
};

fn domains(suite: &Suite) -> Result<()> {
    let plug = Plug {
        model: Model::Igb,
        outside: Outside::Process,
    };
    let (outer, physical) = boot_with(suite, &[plug])?;
    let igb = &physical.first().context("a function")?.function;
    domains_of(&outer, igb).map_err(|error| outer.explain("try domains of pools", &error))?;
    outer.vm.quit()
}

fn domains_of(outer: &Outer, igb: &Function) -> Result<()> {
    igb.bind_vfio(&outer.vm)?;
    let virtuals = igb.enable_virtuals(&outer.vm, VIRTUALS)?;
    let mut groups: Vec<u32> = virtuals.iter().map(|one| one.group).collect();
    groups.extend([igb.group]);
    ui::say(&format!(
        "    IOMMU groups {groups:?}, the last is the function's"
    ));
    groups.sort_unstable();
    groups.dedup();
    ensure!(
        groups.len() == usize::from(VIRTUALS) + 1,
        "not each virtual function is in a group of its own: {virtuals:?}, {igb:?}"
    );
    let [a, b, ..] = &virtuals[..] else {
        unreachable!("there are eight");
    };
    let program = outer.program.to_string_lossy();
    let words = [igb.group, a.group, b.group].map(|group| group.to_string());
    let [own, group_a, group_b] = words.each_ref().map(String::as_str);
    let said = outer.run(
        &[
            &[&program, "--json", "inside", "pool-domains"][..],
            &["--group", own, "--address", &igb.address],
            &["--token", TOKEN, "--virtuals", &a.address, &b.address],
            &["--groups", group_a, group_b],
        ]
        .concat(),
    )?;
    let line = said.lines().last().unwrap_or_default();
    let report: DomainsReport =
        serde_json::from_str(line).with_context(|| format!("no report in {said:?}"))?;
    judge(&report).with_context(|| format!("{report:?}"))?;
    refused(outer, &a.address)
}

/// Fails unless frames came where they may, and nowhere else.
fn judge(report: &DomainsReport) -> Result<()> {
    ensure!(report.own == [DONE; 2], "pools cannot use their own memory");
    for read in [report.read_of_other, report.read_of_physical] {
        ensure!(!read.arrived, "a frame was read where it may not be");
    }
    ensure!(
        !report.written_to_other && !report.write_to_other.arrived,
        "a frame was written where it may not be"
    );
    let ring = report.ring_in_other;
    ensure!(!ring.sent && !ring.arrived, "a ring was read, or written");
    ensure!(report.afterwards[1] == DONE, "it does not go on");
    ensure!(
        report.physical_told == 0,
        "the physical function has interrupted"
    );
    Ok(())
}

/// Fails unless the machine's kernel has told of each access that was refused, as of the virtual function's.
fn refused(outer: &Outer, address: &str) -> Result<()> {
    let [_, other] = PAGES;
    let wanted = [
        ("DMA Read", other),
        ("DMA Read", PHYSICAL_PAGE),
        ("DMA Write", other + IN as u64),
    ];
    // Older kernels leave the PCI domain out.
    let who = format!("{address}]");
    let who = who.trim_start_matches("0000:");
    let faults = process::wait_for(
        "the kernel to tell of refused accesses",
        limits::SETTLE,
        || {
            let faults = outer.dma_faults()?;
            let told = |(way, at): &(&str, u64)| {
                let at = format!("addr {at:#x}");
                faults
                    .iter()
                    .any(|fault| fault.contains(way) && fault.contains(&at))
            };
            Ok(wanted.iter().all(told).then_some(faults))
        },
    )?;
    let other = faults.iter().find(|fault| !fault.contains(who));
    ensure!(other.is_none(), "wanted faults of {who}, got {faults:?}");
    for fault in &faults {
        ui::say(&format!("    {fault}"));
    }
    Ok(())
}
