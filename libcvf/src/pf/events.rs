//! A thread that waits for a function's interrupts, and for what else there is to be heard of it.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;

use super::vfio::VectorEvents;

/// An event that an interrupt is wired to.
pub(super) type Event = Arc<EventFd>;

/// What interrupts are for. Lives in the thread that waits for them.
pub(super) trait Hearing {
    /// A vector's interrupt came, or, numbered on behind the vectors, a further event.
    fn heard(&mut self, vector: usize);

    /// What else is waited for, asked once.
    fn further(&self) -> Vec<Event> {
        Vec::new()
    }

    /// Before each wait: how long it may last; `None`: until something comes.
    fn rest(&mut self) -> Option<Duration> {
        None
    }

    /// Behind each wait, and behind what came.
    fn awake(&mut self) {}
}

/// The thread; ends when dropped.
pub(super) struct Listener {
    stop: Event,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Starts a thread called after `name` for the first `count` vectors. `hearing` is made in it.
    pub(super) fn start<H: Hearing>(
        name: &str,
        vectors: &VectorEvents,
        count: u16,
        hearing: impl FnOnce() -> H + Send + 'static,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?);
        let mut events: Vec<Event> = (0..count)
            .map(|vector| vectors.get(vector).cloned().ok_or_else(|| unheard(vector)))
            .collect::<Result<_, _>>()?;
        let (ours, pf) = (Arc::clone(&stop), name.to_owned());
        let thread = std::thread::Builder::new()
            .name(format!("{name}/irq"))
            .spawn(move || {
                let mut hearing = hearing();
                events.extend(hearing.further());
                listen(&pf, &events, &ours, &mut hearing);
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.stop.write(1);
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

/// The event of a vector that is not there.
fn unheard(vector: u16) -> std::io::Error {
    std::io::Error::other(format!("vector {vector} has no event"))
}

fn listen(pf: &str, events: &[Event], stop: &Event, hearing: &mut impl Hearing) {
    let mut fds: Vec<PollFd<'_>> = events
        .iter()
        .chain([stop])
        .map(|event| PollFd::new(event.as_fd(), PollFlags::POLLIN))
        .collect();
    loop {
        let patience = hearing.rest().map(TimeSpec::from_duration);
        match ppoll(&mut fds, patience, None) {
            Ok(_) => {}
            // Nothing was found out: the marks are those of the wait before.
            Err(Errno::EINTR) => continue,
            Err(errno) => {
                tracing::error!(pf, %errno, "waiting for interrupts failed");
                return;
            }
        }
        if fds.last().and_then(PollFd::any) == Some(true) {
            return;
        }
        for (vector, event) in events.iter().enumerate() {
            if fds[vector].any() == Some(true) {
                let _ = event.read();
                hearing.heard(vector);
            }
        }
        hearing.awake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    struct Teller(mpsc::Sender<usize>);

    impl Hearing for Teller {
        fn heard(&mut self, vector: usize) {
            let _ = self.0.send(vector);
        }
    }

    #[test]
    fn each_vector_is_heard_and_the_thread_ends() {
        let vectors = VectorEvents::ours(3).expect("events");
        let (teller, told) = mpsc::channel();
        let listener = Listener::start("test", &vectors, 3, move || Teller(teller));
        let listener = listener.expect("a thread");
        for vector in [2, 0, 1] {
            vectors
                .get(vector)
                .expect("an event")
                .write(1)
                .expect("room");
            assert_eq!(told.recv(), Ok(usize::from(vector)));
        }
        drop(listener);
        assert!(told.recv().is_err(), "what it heard with is gone");
    }

    /// Waits for more than interrupts.
    struct More(Teller, Event);

    impl Hearing for More {
        fn heard(&mut self, vector: usize) {
            self.0.heard(vector);
        }

        fn further(&self) -> Vec<Event> {
            vec![Arc::clone(&self.1)]
        }
    }

    #[test]
    fn further_events_are_numbered_on_behind_the_vectors() {
        let vectors = VectorEvents::ours(2).expect("events");
        let other = VectorEvents::ours(1).expect("events");
        let other = other.get(0).expect("an event");
        let (teller, told) = mpsc::channel();
        let more = More(Teller(teller), Arc::clone(other));
        let _listener = Listener::start("test", &vectors, 2, move || more).expect("a thread");
        other.write(1).expect("room");
        assert_eq!(told.recv(), Ok(2));
        vectors.get(1).expect("an event").write(1).expect("room");
        assert_eq!(told.recv(), Ok(1));
    }

    #[test]
    fn a_vector_without_an_event_is_refused() {
        let vectors = VectorEvents::ours(1).expect("events");
        let (teller, _told) = mpsc::channel();
        let refused = Listener::start("test", &vectors, 2, move || Teller(teller));
        assert!(refused.is_err());
    }
}
