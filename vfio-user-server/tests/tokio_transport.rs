//! What only the asynchronous transport does: being dropped, and transfers that are awaited.
#![cfg(feature = "tokio")]

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use vfio_user_server::wire::{Command, DmaMap, DmaUnmap, Header, MessageType, SetIrqs};
use vfio_user_server::{
    Answer, Config, Context, Deferred, Description, Device, Ended, Link, Observer, Region,
    RegionRange,
};

#[derive(Default)]
struct State {
    ended: Vec<String>,
    promise: Option<Deferred<Vec<u8>>>,
    link: Option<oneshot::Sender<Link>>,
}

#[derive(Clone, Default)]
struct Probe(Arc<Mutex<State>>);

impl Device for Probe {
    fn describe(&self) -> Arc<Description> {
        Arc::new(
            Description::pci()
                .region(0, Region::read_write(64))
                .unwrap(),
        )
    }

    fn connected(&mut self, link: &Link) {
        if let Some(waiting) = self.0.lock().unwrap().link.take() {
            let _ = waiting.send(link.clone());
        }
    }

    fn disconnected(&mut self, why: &Ended) {
        self.0.lock().unwrap().ended.push(format!("{why:?}"));
    }

    fn region_read(&mut self, cx: &mut Context<'_>, _: RegionRange) -> Answer<Vec<u8>> {
        let (promise, answer) = cx.defer();
        self.0.lock().unwrap().promise = Some(promise);
        answer
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

async fn send(stream: &mut UnixStream, command: Command, body: &[u8]) {
    let mut bytes = Vec::new();
    Header::command(1, command, body.len()).write_to(&mut bytes);
    bytes.extend_from_slice(body);
    stream.write_all(&bytes).await.unwrap();
}

async fn recv(stream: &mut UnixStream) -> (Header, Vec<u8>) {
    let mut head = [0; 16];
    stream.read_exact(&mut head).await.unwrap();
    let header = Header::parse(&head);
    let mut body = vec![0; header.size as usize - 16];
    stream.read_exact(&mut body).await.unwrap();
    (header, body)
}

fn serve(probe: &Probe, stream: UnixStream) -> tokio::task::JoinHandle<Ended> {
    let mut device = probe.clone();
    tokio::spawn(async move {
        let (config, observer) = (Config::default(), Observer::new());
        vfio_user_server::tokio::serve(stream, &mut device, &config, &observer).await
    })
}

#[tokio::test]
async fn dropped_with_a_request_under_way_the_hook_runs_once() {
    let probe = Probe::default();
    let (mut client, server) = UnixStream::pair().unwrap();
    let task = serve(&probe, server);
    send(&mut client, Command::Version, &[0; 4]).await;
    recv(&mut client).await;
    let read = [&[0; 12][..], &4u32.to_ne_bytes()].concat();
    send(&mut client, Command::RegionRead, &read).await;
    while probe.0.lock().unwrap().promise.is_none() {
        tokio::task::yield_now().await;
    }
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(probe.0.lock().unwrap().ended, ["Dropped"]);
    let promise = probe.0.lock().unwrap().promise.take().unwrap();
    promise.complete(Ok(vec![0; 4]));
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn transfers_can_be_awaited() {
    let probe = Probe::default();
    let (tx, rx) = oneshot::channel();
    probe.0.lock().unwrap().link = Some(tx);
    let (mut client, server) = UnixStream::pair().unwrap();
    let task = serve(&probe, server);
    let link = rx.await.unwrap();
    send(&mut client, Command::Version, &[0; 4]).await;
    recv(&mut client).await;
    let map = [
        &32u32.to_ne_bytes()[..],
        &3u32.to_ne_bytes(),
        &[0; 16],
        &4096u64.to_ne_bytes(),
    ];
    send(&mut client, Command::DmaMap, &map.concat()).await;
    recv(&mut client).await;
    let device = tokio::spawn(async move {
        let data = link.read(16, 4).await?;
        link.write(32, data).await
    });
    let (asked, body) = recv(&mut client).await;
    assert_eq!((asked.kind, asked.command), (MessageType::Command, 11));
    let mut reply = Vec::new();
    asked.reply(20).write_to(&mut reply);
    reply.extend_from_slice(&body);
    reply.extend_from_slice(b"data");
    client.write_all(&reply).await.unwrap();
    let (asked, body) = recv(&mut client).await;
    assert_eq!((asked.command, &body[16..]), (12, &b"data"[..]));
    let mut reply = Vec::new();
    asked.reply(16).write_to(&mut reply);
    reply.extend_from_slice(&body[..16]);
    client.write_all(&reply).await.unwrap();
    assert_eq!(device.await.unwrap(), Ok(()));
    drop(client);
    assert!(matches!(task.await.unwrap(), Ended::ClientClosed));
}
