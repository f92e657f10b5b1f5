//! The endpoint, by bytes.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;

use super::house;
use crate::config::MetricsListen;
use crate::limits::{MAX_REQUEST_HEAD, MAX_SCRAPERS, MAX_SCRAPES, REQUEST_DEADLINE};
use crate::metrics::MetricsServer;

struct Served {
    address: String,
    task: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn serve(devices: usize) -> Served {
    let (dir, _, catalog) = house(devices);
    let listen = "127.0.0.1:0".parse().expect("an address");
    let server = MetricsServer::open(&listen)
        .expect("listens")
        .expect("somewhere");
    let address = server.address().to_owned();
    let task = tokio::spawn(async move { server.serve(catalog).await });
    Served {
        address,
        task,
        _dir: dir,
    }
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.expect("connected")
    }

    async fn ask(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        // It may be answered and closed before everything was taken.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

const GET: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_their_answers() {
    let served = serve(3);
    let answer = served.ask(GET).await;
    assert_eq!(status(&answer), "200", "{answer}");
    assert!(
        answer.contains("content-type: text/plain; version=0.0.4"),
        "{answer}"
    );
    assert!(
        answer.contains("mdevd_cvf_state{cvf=\"d0002\",state=\"ready\"} 1\n"),
        "{answer}"
    );
    let query = served.ask(b"GET /metrics?x=1 HTTP/1.0\r\n\r\n").await;
    assert_eq!(status(&query), "200", "{query}");
    let head = served
        .ask(b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    assert!(
        status(&head) == "200" && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
        (
            "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            "405",
        ),
        ("nonsense\r\n\r\n", "400"),
    ] {
        let answer = served.ask(request.as_bytes()).await;
        assert_eq!(status(&answer), expected, "{request}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_or_has_too_many_lines_is_refused() {
    let served = serve(0);
    let long = format!(
        "GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n",
        "x".repeat(MAX_REQUEST_HEAD)
    );
    let answer = served.ask(long.as_bytes()).await;
    assert_eq!(status(&answer), "431", "{answer}");
    let lines: String = (0..100).map(|n| format!("X{n}: y\r\n")).collect();
    let answer = served
        .ask(format!("GET /metrics HTTP/1.1\r\n{lines}\r\n").as_bytes())
        .await;
    assert_eq!(status(&answer), "431", "{answer}");
    assert_eq!(status(&served.ask(GET).await), "200", "others are served");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_finish_its_request_is_cut_off_and_makes_room() {
    let served = serve(0);
    let begun = Instant::now();
    let mut slow = Vec::new();
    for _ in 0..MAX_SCRAPERS {
        let mut stream = served.connect().await;
        stream.write_all(b"GET /metr").await.expect("sent");
        slow.push(stream);
    }
    // All seats are taken; this one waits for the first to be cut off.
    assert_eq!(status(&served.ask(GET).await), "200");
    assert!(
        begun.elapsed() >= REQUEST_DEADLINE / 2,
        "the seats were taken: {:?}",
        begun.elapsed()
    );
    for mut stream in slow {
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest))
            .await
            .expect("it is cut off");
        assert!(!String::from_utf8_lossy(&rest).contains("mdevd_"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scrapes_that_are_not_read_have_further_ones_come_back_later() {
    // More text than sockets hold.
    let served = serve(4000);
    let mut stuck = Vec::new();
    for _ in 0..MAX_SCRAPES {
        let mut stream = served.connect().await;
        stream.write_all(GET).await.expect("sent");
        let mut byte = [0];
        stream
            .read_exact(&mut byte)
            .await
            .expect("an answer begins");
        stuck.push(stream);
    }
    let answer = served.ask(GET).await;
    assert_eq!(status(&answer), "503", "{answer}");
    assert!(answer.contains("retry-after: 1"), "{answer}");
    drop(stuck);
    // Their places are given back as soon as the daemon notices.
    loop {
        let answer = served.ask(GET).await;
        if status(&answer) == "200" {
            let refused = answer
                .lines()
                .find(|line| line.starts_with("mdevd_scrapes_refused_total "));
            assert_ne!(refused, Some("mdevd_scrapes_refused_total 0"));
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_serves_and_goes_with_the_server() {
    let (dir, _, catalog) = house(1);
    let path = dir.path().join("metrics.sock");
    let server = MetricsServer::open(&MetricsListen::Unix(path.clone()))
        .expect("listens")
        .expect("somewhere");
    let task = tokio::spawn(async move { server.serve(catalog).await });
    let mut stream = UnixStream::connect(&path).await.expect("connected");
    stream.write_all(GET).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("text");
    assert_eq!(status(&answer), "200", "{answer}");
    task.abort();
    let _ = task.await;
    assert!(!path.exists());
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = taken.local_addr().expect("an address");
    let error = MetricsServer::open(&MetricsListen::Tcp(address))
        .err()
        .expect("refused")
        .to_string();
    assert!(
        error.starts_with(&format!("cannot offer metrics at {address}: ")),
        "{error}"
    );
    assert!(
        MetricsServer::open(&MetricsListen::Off)
            .expect("nothing to do")
            .is_none()
    );
}
