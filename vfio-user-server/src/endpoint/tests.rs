//! Tests: the hooks, and handles that outlive their connection.

use super::*;
use crate::describe::{Description, Region};
use crate::device::RegionRange;
use crate::wire::{Command, DmaMap, DmaUnmap, Header, SetIrqs};

#[derive(Debug)]
struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

#[derive(Default)]
struct Counting {
    connected: usize,
    ended: Vec<String>,
    link: Option<Link>,
}

impl Device for Counting {
    fn describe(&self) -> Arc<Description> {
        Arc::new(
            Description::pci()
                .region(0, Region::read_write(64))
                .unwrap(),
        )
    }

    fn connected(&mut self, link: &Link) {
        self.connected += 1;
        self.link = Some(link.clone());
    }

    fn disconnected(&mut self, why: &Ended) {
        self.ended.push(why.to_string());
    }

    fn region_read(&mut self, cx: &mut Context<'_>, at: RegionRange) -> Answer<Vec<u8>> {
        // Answers now although it promised to answer later: the promise must do no harm.
        let (deferred, _) = cx.defer::<Vec<u8>>();
        drop(deferred);
        assert!(cx.link().negotiated().is_some());
        Answer::ok(vec![7; at.count as usize])
    }

    fn region_write(&mut self, _: &mut Context<'_>, _: RegionRange, _: &[u8]) -> Answer<()> {
        Answer::ok(())
    }

    fn dma_map(&mut self, _: &mut Context<'_>, _: DmaMap) -> Answer<()> {
        Answer::ok(())
    }

    fn dma_unmap(&mut self, _: &mut Context<'_>, _: DmaUnmap) -> Answer<()> {
        Answer::ok(())
    }

    fn set_irqs(&mut self, _: &mut Context<'_>, _: SetIrqs) -> Answer<()> {
        Answer::ok(())
    }

    fn reset(&mut self, _: &mut Context<'_>) -> Answer<()> {
        Answer::ok(())
    }
}

fn endpoint(device: &mut Counting) -> Endpoint<'_, Counting> {
    Endpoint::new(device, Config::default(), Observer::new(), Box::new(NoWake))
}

#[test]
fn hooks_come_in_pairs_finished_or_dropped() {
    let mut device = Counting::default();
    endpoint(&mut device).finish(Ended::ClientClosed);
    drop(endpoint(&mut device));
    assert_eq!(device.connected, 2);
    assert_eq!(device.ended.len(), 2);
    assert!(device.ended[0].contains("closed") && device.ended[1].contains("dropped"));
}

#[test]
fn a_promise_besides_an_answer_does_no_harm() {
    let mut device = Counting::default();
    let mut endpoint = endpoint(&mut device);
    let mut bytes = Vec::new();
    Header::command(1, Command::Version, 4).write_to(&mut bytes);
    bytes.extend([0; 4]);
    Header::command(2, Command::RegionRead, 16).write_to(&mut bytes);
    bytes.extend([0; 12]);
    bytes.extend(4u32.to_ne_bytes());
    endpoint.receive(Chunk {
        bytes: &bytes,
        ..Chunk::default()
    });
    let output = endpoint.output().unwrap().bytes;
    assert!(output.ends_with(&[7; 4]));
    assert_eq!(endpoint.session().buffered(), output.len());
}

#[test]
fn handles_of_a_connection_that_is_over_do_nothing() {
    let mut device = Counting::default();
    let endpoint = endpoint(&mut device);
    let (completer, shutdown) = (endpoint.completer(), endpoint.shutdown_handle());
    endpoint.finish(Ended::ClientClosed);
    shutdown.shutdown();
    completer.complete(unknown_token(), Ok(Reply::Done));
    let link = device.link.unwrap();
    assert_eq!(link.dma_read(0, 1, |_| ()), Err(Errno::ENOTCONN));
}

fn unknown_token() -> Token {
    let mut session = Session::new(
        Config::default(),
        Counting::default().describe(),
        Observer::new(),
    );
    let mut bytes = Vec::new();
    Header::command(1, Command::Version, 4).write_to(&mut bytes);
    bytes.extend([0; 4]);
    Header::command(2, Command::DeviceReset, 0).write_to(&mut bytes);
    session.receive(Chunk {
        bytes: &bytes,
        ..Chunk::default()
    });
    session.next_request().unwrap().token
}
