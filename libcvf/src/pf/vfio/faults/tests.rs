use std::io::Write;

use super::*;

fn address() -> PciAddress {
    "0000:00:03.0".parse().expect("an address")
}

#[test]
fn reports_about_the_function_are_counted_and_others_are_not() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(
        file,
        "4,1,1,-;DMAR: [DMA Read NO_PASID] Request device [00:03.0] fault addr 0x1000"
    )
    .expect("room");
    let log = FaultLog::open(file.path(), address());
    assert_eq!(
        log.look(),
        DmaFaults::default(),
        "what was there before is not about now"
    );
    let lines = [
        "4,2,2,-;DMAR: [DMA Write NO_PASID] Request device [00:03.0] fault addr 0xdead0000 [fault reason 0x05] PTE Write access is not set",
        "4,7,7,-;DMAR: [DMA Read NO_PASID] Request device [0000:00:03.0] fault addr 0x7f00000000 [fault reason 0x06] PTE Read access is not set",
        "4,3,3,-;DMAR: [DMA Write NO_PASID] Request device [00:04.0] fault addr 0xdead0000 [fault reason 0x05] PTE Write access is not set",
        "4,4,4,-;vfio-pci 0000:00:03.0: resetting",
        "4,5,5,-;vfio-pci 0000:00:03.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x000e address=0x1 flags=0x0020]",
        "4,6,6,-;AMD-Vi: Event logged [IO_PAGE_FAULT device=0000:00:03.0 domain=0x000e address=0xbeef000 flags=0x0020]",
    ];
    for line in lines {
        writeln!(file, "{line}").expect("room");
    }
    let known = log.look();
    assert_eq!(known.count, 4);
    assert!(
        known
            .last
            .as_deref()
            .is_some_and(|last| last.starts_with("AMD-Vi: Event logged [IO_PAGE_FAULT device="))
    );
    assert_eq!(known.unavailable, None);
    assert_eq!(log.look().count, 4, "once each");
}

#[test]
fn a_log_that_cannot_be_read_is_said_to_be() {
    let log = FaultLog::open(Path::new("/nonexistent/kmsg"), address());
    let known = log.look();
    assert_eq!((known.count, known.last), (0, None));
    assert!(
        known
            .unavailable
            .is_some_and(|why| why.contains("/nonexistent/kmsg"))
    );
}

#[test]
fn a_watch_that_nobody_wants_any_more_ends() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let log = Arc::new(FaultLog::open(file.path(), address()));
    let (teller, told) = std::sync::mpsc::channel();
    let tell = move |faults: &DmaFaults| {
        let _ = teller.send(faults.count);
    };
    // A file is always ready, so that the watch looks again and again.
    let watch = FaultWatch::start("test", &log, tell).expect("a thread");
    let line = "4,6,6,-;DMAR: [DMA Read NO_PASID] Request device [00:03.0] fault addr 0x1000";
    writeln!(file.as_file(), "{line}").expect("room");
    assert_eq!(told.recv(), Ok(1));
    drop(watch);
    assert!(told.recv().is_err(), "its thread has ended");
    let none = Arc::new(FaultLog::open(Path::new("/nonexistent/kmsg"), address()));
    assert!(
        FaultWatch::start("test", &none, |_| {})
            .expect("no error")
            .is_none()
    );
}
