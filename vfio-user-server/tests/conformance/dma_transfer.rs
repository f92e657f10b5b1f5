//! DMA_READ and DMA_WRITE: the server asks, the client answers.

use std::sync::mpsc;

use vfio_user_server::wire::{Command, Header, MessageType};
use vfio_user_server::{Config, Errno, Link, limits};

use crate::client::{Body, Client, Message, access, dma_unmap};
use crate::device::BAR_RAM;
use crate::on_each_transport;
use crate::server::{Server, Transport};

const BASE: u64 = 0x10_0000;

fn ready(transport: Transport) -> (Server, Link) {
    let mut server = Server::new(transport);
    server.client().map(BASE, 0x10_0000, None);
    let link = server.device.lock().link.clone().unwrap();
    (server, link)
}

fn read(link: &Link, address: u64, length: usize) -> mpsc::Receiver<Result<Vec<u8>, Errno>> {
    let (tx, rx) = mpsc::channel();
    link.dma_read(address, length, move |result| {
        let _ = tx.send(result);
    })
    .unwrap();
    rx
}

fn write(link: &Link, address: u64, data: Vec<u8>) -> mpsc::Receiver<Result<(), Errno>> {
    let (tx, rx) = mpsc::channel();
    link.dma_write(address, data, move |result| {
        let _ = tx.send(result);
    })
    .unwrap();
    rx
}

fn reply(client: &mut Client, to: &Message, errno: u32, body: &[u8]) {
    let header = Header {
        size: 16 + body.len() as u32,
        kind: MessageType::Reply,
        error: errno != 0,
        errno,
        ..to.header
    };
    let mut bytes = Vec::new();
    header.write_to(&mut bytes);
    bytes.extend_from_slice(body);
    client.raw(&bytes);
}

fn reply_read(client: &mut Client, to: &Message, data: &[u8]) {
    let body = Body::new()
        .u64(to.u64(0))
        .u64(data.len() as u64)
        .bytes(data);
    reply(client, to, 0, &body.0);
}

fn expect(client: &mut Client, command: Command, address: u64, count: u64) -> Message {
    let message = client.recv();
    assert_eq!(message.header.kind, MessageType::Command);
    assert_eq!(message.header.command, command.number());
    assert_eq!((message.u64(0), message.u64(8)), (address, count));
    message
}

on_each_transport! {
    fn a_read(transport: Transport) {
        let (mut server, link) = ready(transport);
        let result = read(&link, BASE + 5, 7);
        let asked = expect(server.client(), Command::DmaRead, BASE + 5, 7);
        assert_eq!(asked.body.len(), 16);
        reply_read(server.client(), &asked, b"1234567");
        assert_eq!(result.recv().unwrap().unwrap(), b"1234567");
    }

    fn a_write_and_both_sizes_of_its_reply(transport: Transport) {
        let (mut server, link) = ready(transport);
        for short in [true, false] {
            let result = write(&link, BASE, b"data".to_vec());
            let asked = expect(server.client(), Command::DmaWrite, BASE, 4);
            assert_eq!(&asked.body[16..], b"data");
            let body = Body::new().u64(BASE);
            let body = if short { body.u32(4) } else { body.u64(4) };
            reply(server.client(), &asked, 0, &body.0);
            assert_eq!(result.recv().unwrap(), Ok(()));
        }
    }

    fn large_transfers_are_cut_and_joined(transport: Transport) {
        let (mut server, link) = ready(transport);
        let total = 2 * limits::MAX_DMA_CHUNK + 100;
        let result = read(&link, BASE, total);
        let mut asked = Vec::new();
        for (n, count) in [limits::MAX_DMA_CHUNK, limits::MAX_DMA_CHUNK, 100].iter().enumerate() {
            let at = BASE + (n * limits::MAX_DMA_CHUNK) as u64;
            asked.push(expect(server.client(), Command::DmaRead, at, *count as u64));
        }
        // Answered in another order than asked.
        for (n, message) in asked.iter().enumerate().rev() {
            let data = vec![n as u8; message.u64(8) as usize];
            reply_read(server.client(), message, &data);
        }
        let data = result.recv().unwrap().unwrap();
        let at = |offset: usize| data[offset];
        assert_eq!(data.len(), total);
        let chunk = limits::MAX_DMA_CHUNK;
        assert_eq!([at(0), at(chunk - 1), at(chunk), at(2 * chunk), at(total - 1)], [0, 0, 1, 2, 2]);
    }

    fn chunks_respect_the_clients_transfer_size(transport: Transport) {
        let mut server = Server::fresh(transport, Config::default());
        let json = r#"{"capabilities":{"max_data_xfer_size":1000}}"#;
        assert!(!server.client().version(0, 0, Some(json)).header.error);
        server.client().map(BASE, 0x1000, None);
        let link = server.device.lock().link.clone().unwrap();
        let _result = write(&link, BASE, vec![0; 1500]);
        expect(server.client(), Command::DmaWrite, BASE, 1000);
        expect(server.client(), Command::DmaWrite, BASE + 1000, 500);
    }

    fn no_more_than_the_limit_is_asked_at_once(transport: Transport) {
        let (mut server, link) = ready(transport);
        let results: Vec<_> = (0..limits::MAX_DMA_IN_FLIGHT as u64 + 3)
            .map(|n| read(&link, BASE + n, 1))
            .collect();
        let mut asked = Vec::new();
        for n in 0..limits::MAX_DMA_IN_FLIGHT as u64 {
            asked.push(expect(server.client(), Command::DmaRead, BASE + n, 1));
        }
        // The next message is the reply to a command: no further DMA_READ came before it.
        server.client().ok(Command::RegionRead, &access(BAR_RAM, 0, 1));
        for message in &asked {
            reply_read(server.client(), message, &[1]);
        }
        for n in 0..3 {
            let at = BASE + limits::MAX_DMA_IN_FLIGHT as u64 + n;
            let message = expect(server.client(), Command::DmaRead, at, 1);
            reply_read(server.client(), &message, &[1]);
        }
        assert!(results.into_iter().all(|result| result.recv().unwrap() == Ok(vec![1])));
    }

    fn commands_are_served_while_a_transfer_waits(transport: Transport) {
        let (mut server, link) = ready(transport);
        let result = read(&link, BASE, 4);
        let asked = expect(server.client(), Command::DmaRead, BASE, 4);
        // Even one with the same message id.
        let body = access(BAR_RAM, 0, 4);
        let bytes = crate::client::command(asked.header.id, 9, false, &body.0);
        server.client().raw(&bytes);
        let answer = server.client().recv();
        assert_eq!((answer.header.kind, answer.header.command), (MessageType::Reply, 9));
        reply_read(server.client(), &asked, b"done");
        assert_eq!(result.recv().unwrap().unwrap(), b"done");
    }

    fn errors_of_the_client_reach_the_device(transport: Transport) {
        let (mut server, link) = ready(transport);
        let result = read(&link, BASE, 4);
        let asked = expect(server.client(), Command::DmaRead, BASE, 4);
        reply(server.client(), &asked, libc::ENODEV as u32, &[]);
        assert_eq!(result.recv().unwrap(), Err(Errno::ENODEV));
    }

    fn replies_that_do_not_fit_are_protocol_errors(transport: Transport) {
        let (mut server, link) = ready(transport);
        for body in [
            Body::new(),
            Body::new().u64(BASE).u64(4),
            Body::new().u64(BASE).u64(3).bytes(b"abc"),
            Body::new().u64(BASE).u64(5).bytes(b"abcde"),
            Body::new().u64(BASE).u64(u64::MAX).bytes(b"abcd"),
        ] {
            let result = read(&link, BASE, 4);
            let asked = expect(server.client(), Command::DmaRead, BASE, 4);
            reply(server.client(), &asked, 0, &body.0);
            assert_eq!(result.recv().unwrap(), Err(Errno::EPROTO));
        }
        for body in [Body::new().u64(BASE), Body::new().u64(BASE).u64(3)] {
            let result = write(&link, BASE, vec![0; 4]);
            let asked = expect(server.client(), Command::DmaWrite, BASE, 4);
            reply(server.client(), &asked, 0, &body.0);
            assert_eq!(result.recv().unwrap(), Err(Errno::EPROTO));
        }
    }

    fn only_mapped_memory_is_asked_for(transport: Transport) {
        let (mut server, link) = ready(transport);
        server.client().ok(Command::DmaMap, &crate::client::dma_map(1, 0, 0x1000, 0x1000));
        for (address, length) in [
            (0, 1), (BASE - 1, 1), (BASE + 0xf_ffff, 2), (u64::MAX, 1), (u64::MAX, 2),
            (0x2000, 1),
        ] {
            assert_eq!(read(&link, address, length).recv().unwrap(), Err(Errno::EFAULT));
        }
        assert_eq!(write(&link, 0x1000, vec![1]).recv().unwrap(), Err(Errno::EFAULT));
        let _read_only = read(&link, 0x1000, 1);
        expect(server.client(), Command::DmaRead, 0x1000, 1);
    }

    fn transfers_cross_adjacent_maps(transport: Transport) {
        let (mut server, link) = ready(transport);
        server.client().map(BASE + 0x10_0000, 0x1000, None);
        let result = read(&link, BASE + 0xf_fffe, 4);
        let first = expect(server.client(), Command::DmaRead, BASE + 0xf_fffe, 2);
        let second = expect(server.client(), Command::DmaRead, BASE + 0x10_0000, 2);
        reply_read(server.client(), &first, b"ab");
        reply_read(server.client(), &second, b"cd");
        assert_eq!(result.recv().unwrap().unwrap(), b"abcd");
    }

    fn what_is_unmapped_meanwhile_is_not_asked_for(transport: Transport) {
        let (mut server, link) = ready(transport);
        let total = (limits::MAX_DMA_IN_FLIGHT) * limits::MAX_DMA_CHUNK;
        let first = read(&link, BASE, total);
        let asked: Vec<_> =
            (0..limits::MAX_DMA_IN_FLIGHT).map(|_| server.client().recv()).collect();
        let second = read(&link, BASE, 1);
        server.client().ok(Command::DmaUnmap, &dma_unmap(0, BASE, 0x10_0000));
        for message in &asked {
            reply(server.client(), message, libc::ENODEV as u32, &[]);
        }
        assert_eq!(first.recv().unwrap(), Err(Errno::ENODEV));
        assert_eq!(second.recv().unwrap(), Err(Errno::EFAULT));
    }

    fn limits_refuse_at_once(transport: Transport) {
        let (_server, link) = ready(transport);
        let too_long = limits::MAX_DMA_TRANSFER + 1;
        assert_eq!(link.dma_read(BASE, too_long, |_| ()), Err(Errno::EMSGSIZE));
        assert_eq!(link.dma_write(BASE, vec![0; too_long], |_| ()), Err(Errno::EMSGSIZE));
        for _ in 0..limits::MAX_DMA_PENDING {
            link.dma_read(BASE, 1, |_| ()).unwrap();
        }
        assert_eq!(link.dma_read(BASE, 1, |_| ()), Err(Errno::ENOBUFS));
    }

    fn transfers_end_with_the_connection(transport: Transport) {
        let (mut server, link) = ready(transport);
        let result = read(&link, BASE, 4);
        expect(server.client(), Command::DmaRead, BASE, 4);
        server.close();
        assert_eq!(result.recv().unwrap(), Err(Errno::ENOTCONN));
        assert_eq!(link.dma_read(BASE, 4, |_| ()), Err(Errno::ENOTCONN));
    }

    fn nothing_can_be_transferred_before_negotiation(transport: Transport) {
        let server = Server::fresh(transport, Config::default());
        let link = server.device.wait(|state| state.link.clone());
        assert_eq!(read(&link, BASE, 4).recv().unwrap(), Err(Errno::ENOTCONN));
    }

    fn an_empty_transfer_is_done_at_once(transport: Transport) {
        let (_server, link) = ready(transport);
        assert_eq!(read(&link, BASE, 0).recv().unwrap(), Ok(Vec::new()));
        assert_eq!(write(&link, 0, Vec::new()).recv().unwrap(), Ok(()));
    }
}
