//! SET_IRQS for libcvf, and the eventfd by which a client unmasks INTx.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use libcvf::cvf::{Cvf, IrqAction, IrqData, IrqRequest};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tokio::task::JoinHandle;
use vfio_user_server::wire;

use super::sys;

/// The same request in libcvf's terms.
pub(super) fn request(irqs: wire::SetIrqs) -> IrqRequest {
    let wire::SetIrqs {
        index,
        start,
        count,
        action,
        data,
    } = irqs;
    let action = match action {
        wire::IrqAction::Mask => IrqAction::Mask,
        wire::IrqAction::Unmask => IrqAction::Unmask,
        wire::IrqAction::Trigger => IrqAction::Trigger,
    };
    let data = match data {
        wire::IrqData::DisableAll | wire::IrqData::All => IrqData::None,
        wire::IrqData::Where(which) => IrqData::Bools(which),
        wire::IrqData::Connect(fds) => IrqData::Events(fds.into_iter().map(Some).collect()),
        wire::IrqData::Disconnect => IrqData::Events((0..count).map(|_| None).collect()),
    };
    IrqRequest {
        index,
        start,
        count,
        action,
        data,
    }
}

/// Unmasks INTx each time the client signals; ends when dropped.
#[derive(Debug)]
pub(super) struct UnmaskWatch(JoinHandle<()>);

impl UnmaskWatch {
    /// Watches `fd`, an eventfd. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// It cannot be watched.
    pub(super) fn start(cvf: Arc<Cvf>, fd: OwnedFd) -> std::io::Result<Self> {
        fcntl(&fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK | OFlag::O_RDWR))?;
        let fd = sys::watch(fd)?;
        let watch = async move {
            while let Ok(mut ready) = fd.readable().await {
                let mut count = [0; 8];
                match nix::unistd::read(fd.get_ref(), &mut count) {
                    Ok(8) => cvf.unmask_intx(),
                    Err(Errno::EAGAIN) => ready.clear_ready(),
                    _ => return,
                }
            }
        };
        Ok(Self(tokio::spawn(watch)))
    }
}

impl Drop for UnmaskWatch {
    fn drop(&mut self) {
        self.0.abort();
    }
}
