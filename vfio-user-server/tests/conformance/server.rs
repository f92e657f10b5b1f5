//! A served device with a client at its socket.

use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use vfio_user_server::{Config, Ended, Observer, blocking};

use crate::client::Client;
use crate::device::{Handle, Model};

/// Which transport a test runs on.
#[derive(Clone, Copy, Debug)]
pub enum Transport {
    Blocking,
    #[cfg(feature = "tokio")]
    Tokio,
}

pub struct Server {
    pub client: Option<Client>,
    pub device: Handle,
    pub observer: Observer,
    thread: Option<JoinHandle<Ended>>,
}

impl Server {
    /// A server whose client has negotiated.
    pub fn new(transport: Transport) -> Self {
        let mut server = Self::fresh(transport, Config::default());
        server.client().negotiate();
        server
    }

    /// A server whose client has connected and said nothing.
    pub fn fresh(transport: Transport, config: Config) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (device, observer) = (Handle::default(), Observer::new());
        let mut model = Model::new(device.clone());
        let watch = observer.clone();
        let thread = std::thread::spawn(move || match transport {
            Transport::Blocking => blocking::serve(&theirs, &mut model, &config, &watch),
            #[cfg(feature = "tokio")]
            Transport::Tokio => {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_io()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    theirs.set_nonblocking(true).unwrap();
                    let stream = tokio::net::UnixStream::from_std(theirs).unwrap();
                    vfio_user_server::tokio::serve(stream, &mut model, &config, &watch).await
                })
            }
        });
        Self {
            client: Some(Client::new(ours)),
            device,
            observer,
            thread: Some(thread),
        }
    }

    pub fn client(&mut self) -> &mut Client {
        self.client.as_mut().unwrap()
    }

    /// Waits for the session to end by itself, and returns why.
    pub fn ended(&mut self) -> Ended {
        self.thread.take().unwrap().join().unwrap()
    }

    /// Closes the client's end and returns how the server saw it.
    pub fn close(&mut self) -> Ended {
        self.client = None;
        self.ended()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.client = None;
        if let Some(thread) = self.thread.take()
            && !std::thread::panicking()
        {
            let _ = thread.join();
            let state = self.device.lock();
            assert_eq!(
                state.ended.len(),
                1,
                "disconnected must be called exactly once"
            );
        }
    }
}

/// Defines tests that run on every transport.
#[macro_export]
macro_rules! on_each_transport {
    ($($(#[$doc:meta])* fn $name:ident($server:ident: Transport) $body:block)*) => {
        mod cases {
            #![allow(unused_imports)]
            use super::*;
            $($(#[$doc])* pub fn $name($server: $crate::server::Transport) $body)*
        }
        mod on_blocking {
            $(#[test] fn $name() { super::cases::$name($crate::server::Transport::Blocking); })*
        }
        #[cfg(feature = "tokio")]
        mod on_tokio {
            $(#[test] fn $name() { super::cases::$name($crate::server::Transport::Tokio); })*
        }
    };
}
