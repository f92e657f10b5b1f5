use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex as Busy, mpsc};
use std::time::Duration;

use super::*;

/// Longer than any of this takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn registers(count: u16) -> Vec<DoorbellRegister> {
    let register = |queue| DoorbellRegister {
        bar: 2,
        offset: u64::from(queue) * 4096,
        size: 2,
        queue,
    };
    (0..count).map(register).collect()
}

/// A client that keeps its device busy and signals every event it has leaves threads for others.
#[test]
fn all_bells_of_a_busy_device_keep_one_thread() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let device = Arc::new(Busy::new(()));
    let (rung, rings) = mpsc::channel();
    let busy = device.lock().unwrap();
    let bells = {
        let _inside = runtime.enter();
        let device = Arc::clone(&device);
        let ring = move |register: &DoorbellRegister| {
            rung.send(register.queue).unwrap();
            drop(device.lock().unwrap());
        };
        Bells::hang_for(&registers(16), 16, ring).unwrap()
    };
    for (_, event) in &bells.rings {
        nix::unistd::write(event, &1u64.to_ne_bytes()).unwrap();
    }
    let mut seen = vec![rings.recv_timeout(PATIENCE).unwrap()];
    // Others are served all the same, again and again.
    let served = Arc::new(AtomicUsize::new(0));
    let (done, finished) = mpsc::channel();
    let count = Arc::clone(&served);
    runtime.spawn(async move {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
            count.fetch_add(1, Ordering::Relaxed);
        }
        done.send(()).unwrap();
    });
    let result = finished.recv_timeout(PATIENCE);
    let before = rings.try_iter().count();
    drop(busy);
    assert_eq!((result, before), (Ok(()), 0));
    assert_eq!(served.load(Ordering::Relaxed), 1000);
    // And no doorbell is lost.
    while seen.len() < 16 {
        seen.push(rings.recv_timeout(PATIENCE).unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..16).collect::<Vec<_>>());
}
