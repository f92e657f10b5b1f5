//! The function as it is used while it is the switch's way out.
//!
//! Owns the function and all that it does for the switch, from its opening to its end. Never outlives what it was begun
//! with: when it is dropped, the device is reset and nothing of ours is within its reach.

use std::sync::Arc;

use super::Joint;
use super::control::Control;
use super::features::Features;
use super::pair::{self, Pair};
use super::transport::{BarView, Transport, TransportError};
use super::uplink::{Reader, VECTOR_CONFIG, VECTOR_RECEIVE, VECTORS};
use crate::pf::dma::DmaBlock;
use crate::pf::events::Listener;
use crate::pf::loss::Sentry;
use crate::pf::vfio::{Function, VectorEvents, VfioError};

/// The function in use as an uplink.
pub(super) struct Way {
    joint: Arc<Joint>,
    _control: Option<Control>,
    reader: Option<Listener>,
    sentry: Arc<Sentry>,
    transport: Arc<Transport>,
    // Closed last.
    _function: Arc<Function>,
}

impl Way {
    /// Comes to terms with the device and has it begin.
    pub(super) fn begin(function: Arc<Function>, joint: &Arc<Joint>) -> Result<Self, VfioError> {
        let address = function.address();
        let lacks = |what: String| VfioError::Lacks { address, what };
        let because = |error: TransportError| lacks(error.to_string());
        check_vectors(&function, VECTORS)?;
        let transport = open(&joint.name, &function)?;
        let features = transport.negotiate(Features::of_offer).map_err(because)?;
        let transport = Arc::new(transport);
        let vectors = VectorEvents::ours(VECTORS)
            .map_err(|errno| lacks(format!("its interrupts get no events: {errno}")))?;
        function.set_vectors(&vectors)?;
        let event = vectors.get(VECTOR_RECEIVE).cloned();
        let event = event.ok_or_else(|| lacks("its interrupt has no event".into()))?;
        transport
            .set_config_vector(VECTOR_CONFIG)
            .map_err(because)?;
        let allocate =
            |len| DmaBlock::new(function.container(), len).map_err(|error| error.to_string());
        let mut pair = Pair::new(&transport, (0, VECTOR_RECEIVE), &allocate)
            .map_err(|error| lacks(error.to_string()))?;
        let mut control =
            pair::control(&transport, &allocate).map_err(|error| lacks(error.to_string()))?;
        pair.fill.start();
        pair.fill.restock();
        pair.send.start();
        transport.drive();
        command(&joint.name, features, control.as_mut());
        tracing::info!(
            pf = joint.name,
            mac = ?transport.mac(),
            mtu = transport.mtu(),
            pairs = transport.pairs(),
            %features,
            "virtio-net function"
        );
        joint.link.set(transport.link());
        let line = pair.line(event);
        let sentry = joint.sentry(&function);
        let reader = {
            let way = (Arc::clone(&transport), Arc::clone(&joint.link));
            let (fabric, received) = (Arc::downgrade(&joint.fabric), Arc::clone(&joint.received));
            let (fill, port) = (pair.fill, joint.port);
            let make = move || Reader::new((fill, line), way, (fabric, port), received);
            let make = sentry.beside(VECTORS, make);
            Listener::start(&joint.name, &vectors, VECTORS, make)
                .map_err(|error| lacks(format!("its interrupts get no thread: {error}")))?
        };
        joint.outside.lead(Some(pair.send));
        Ok(Self {
            joint: Arc::clone(joint),
            _control: control,
            reader: Some(reader),
            sentry,
            transport,
            _function: function,
        })
    }

    /// Why the function is not to be had any more.
    pub(super) fn lost(&self) -> Option<String> {
        self.sentry.lost()
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.joint.outside.lead(None);
        // The reader ends its queue itself.
        drop(self.reader.take());
        match self.transport.reset() {
            // What became of it was told.
            Ok(()) | Err(TransportError::Gone) => {}
            Err(error) => tracing::error!(pf = self.joint.name, %error, "ending the device"),
        }
    }
}

/// The function has as many vectors.
pub(super) fn check_vectors(function: &Function, needed: u16) -> Result<(), VfioError> {
    let has = function.vectors();
    if has >= needed {
        return Ok(());
    }
    Err(VfioError::Lacks {
        address: function.address(),
        what: format!("it has {has} interrupt vectors, and {needed} are needed"),
    })
}

/// The device behind a function.
pub(super) fn open(name: &str, function: &Function) -> Result<Transport, VfioError> {
    let mut space = [0; super::capabilities::CONFIG_SPACE];
    function.read_config(0, &mut space)?;
    let bar = |index| {
        let bar = function.bar(index).map_err(|error| error.to_string())?;
        Ok(BarView {
            len: bar.len() as u64,
            file_offset: bar.file_offset(),
            registers: Arc::new(bar),
        })
    };
    Transport::open(name, &space, bar).map_err(|error| VfioError::Lacks {
        address: function.address(),
        what: error.to_string(),
    })
}

/// Has the first pair receive everything.
fn command(name: &str, features: Features, control: Option<&mut Control>) {
    let Some(control) = control else {
        tracing::warn!(pf = name, "without a control queue the device may filter");
        return;
    };
    if features.has(Features::MQ)
        && let Err(error) = control.set_pairs(1)
    {
        tracing::warn!(pf = name, %error, "frames may come in where nobody looks");
    }
    if !features.has(Features::CTRL_RX) {
        tracing::warn!(pf = name, "the device does not say what it filters");
    } else if let Err(error) = control.promiscuous(true) {
        tracing::warn!(pf = name, %error, "only frames for the device's own address come in");
    }
}
