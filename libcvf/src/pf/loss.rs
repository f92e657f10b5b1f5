//! A function that is lost while it is in use: what it costs is the same for all back ends, and decided here.
//!
//! It is lost when it reports an error that it cannot go on from (AER), when its registers turn out to have gone, or when
//! the host wants it back: it is being unbound or removed. The thread that waits for its interrupts hears of it. Devices on
//! its hardware are stopped with the reason, the PF has no carrier any more, and the function is neither touched nor can it
//! reach anything; what the host wants back is given back. Other PFs notice nothing.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use super::carrier::LinkState;
use super::events::{Event, Hearing};
use super::vfio::{Alarms, Function, PciAddress, VfioError};
use crate::dataplane::Fabric;

/// A function, or a model of one, as far as it can be lost.
pub(super) trait Losable: Send + Sync {
    /// Where it is.
    fn address(&self) -> PciAddress;

    /// What tells of it.
    fn alarms(&self) -> &Alarms;

    /// Its registers have gone.
    fn has_vanished(&self) -> bool;

    /// Ends what it does and what is done to it, whoever may be at it.
    ///
    /// # Errors
    /// What could not be done.
    fn quit(&self) -> Result<(), VfioError>;

    /// Gives it back to the host, which waits for that.
    fn give_back(&self);
}

impl Losable for Function {
    fn address(&self) -> PciAddress {
        Self::address(self)
    }

    fn alarms(&self) -> &Alarms {
        Self::alarms(self)
    }

    fn has_vanished(&self) -> bool {
        Self::has_vanished(self)
    }

    fn quit(&self) -> Result<(), VfioError> {
        Self::quit(self)
    }

    fn give_back(&self) {
        Self::give_back(self);
    }
}

/// How a function was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// It has reported an error.
    Error,
    /// Its registers are not there any more.
    Vanished,
    /// The host wants it back.
    Wanted,
}

impl Loss {
    /// What has happened, for whoever asks why a device was stopped.
    const fn what(self) -> &'static str {
        match self {
            Self::Error => "has reported an error that it cannot go on from (PCIe AER)",
            Self::Vanished => "has gone: its registers do not answer any more",
            Self::Wanted => "was wanted back by the host, which unbinds or removes it",
        }
    }

    /// What the operator has to do.
    const fn advice(self) -> &'static str {
        match self {
            Self::Error | Self::Vanished => {
                "the kernel's log says more; once the function works again, restart the daemon, or take the PF out of its \
                 configuration"
            }
            Self::Wanted => {
                "it was given back; to have the PF again, bind the function to vfio-pci and restart the daemon, or take the \
                 PF out of its configuration"
            }
        }
    }
}

/// Watches over the function of one PF.
pub(super) struct Sentry {
    pf: String,
    function: Arc<dyn Losable>,
    link: Arc<LinkState>,
    fabric: Weak<Fabric>,
    /// Why it is lost, for good.
    lost: OnceLock<String>,
}

impl Sentry {
    /// Over a function that serves the devices at this switch.
    pub(super) fn new(
        pf: &str,
        function: Arc<dyn Losable>,
        link: &Arc<LinkState>,
        fabric: &Arc<Fabric>,
    ) -> Arc<Self> {
        Arc::new(Self {
            pf: pf.to_owned(),
            function,
            link: Arc::clone(link),
            fabric: Arc::downgrade(fabric),
            lost: OnceLock::new(),
        })
    }

    /// Why the function is not to be had any more.
    pub(super) fn lost(&self) -> Option<String> {
        self.lost.get().cloned()
    }

    /// Has the thread that hears the function's interrupts, first `vectors` of them, hear of its loss, too.
    pub(super) fn beside<H: Hearing>(
        self: &Arc<Self>,
        vectors: u16,
        hearing: impl FnOnce() -> H + Send + 'static,
    ) -> impl FnOnce() -> Watched<H> + Send + 'static {
        let sentry = Arc::clone(self);
        move || Watched {
            hearing: hearing(),
            vectors: vectors.into(),
            sentry,
        }
    }

    fn lose(&self, loss: Loss) {
        let (pf, function, first) = (&self.pf, self.function.address(), self.lost().is_none());
        // Whoever starts from here on finds it lost, and whoever did before is stopped below.
        let why = format!("the PF's function {function} {}", loss.what());
        let why = self.lost.get_or_init(|| why);
        if first {
            if let Err(error) = self.function.quit() {
                // One that has gone does not answer to that either.
                tracing::warn!(pf, %error, "the function was not left as it should be");
            }
            let mut stopped = 0;
            for port in self.fabric.upgrade().iter().flat_map(|all| all.devices()) {
                if port.is_on_hardware() {
                    port.stop(why.clone());
                    stopped += 1;
                }
            }
            self.link.set(false);
            let (what, advice) = (loss.what(), loss.advice());
            tracing::error!(pf, %function, what, stopped, advice, "the PF has lost its function");
        }
        if loss == Loss::Wanted {
            self.function.give_back();
            tracing::warn!(pf, %function, "the function was given back to the host");
        }
    }
}

/// Hears interrupts, and of the function's loss.
pub(super) struct Watched<H> {
    hearing: H,
    vectors: usize,
    sentry: Arc<Sentry>,
}

impl<H: Hearing> Hearing for Watched<H> {
    fn heard(&mut self, vector: usize) {
        match vector.checked_sub(self.vectors) {
            None => self.hearing.heard(vector),
            Some(0) => {
                let vanished = self.sentry.function.has_vanished();
                let loss = if vanished {
                    Loss::Vanished
                } else {
                    Loss::Error
                };
                self.sentry.lose(loss);
            }
            Some(_) => self.sentry.lose(Loss::Wanted),
        }
    }

    fn further(&self) -> Vec<Event> {
        let Alarms { error, request } = self.sentry.function.alarms();
        vec![Arc::clone(error), Arc::clone(request)]
    }

    fn rest(&mut self) -> Option<Duration> {
        self.hearing.rest()
    }

    fn awake(&mut self) {
        self.hearing.awake();
    }
}

#[cfg(test)]
mod tests;
