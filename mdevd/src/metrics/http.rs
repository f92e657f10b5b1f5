//! The endpoint that is scraped: HTTP/1.1, one request a connection, everything about it bounded.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::SystemTime;

use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::snapshot::Snapshot;
use super::text::Exposition;
use crate::config::MetricsListen;
use crate::engine::Engine;
use crate::limits::{
    MAX_PAUSE, MAX_REQUEST_HEAD, MAX_REQUEST_LINES, MAX_SCRAPERS, MAX_SCRAPES, MIN_PAUSE,
    REQUEST_DEADLINE, SCRAPE_DEADLINE,
};
use crate::session::{Access, Place, PlaceError};

/// The text format's type, with its version.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The address cannot be had.
    #[error("cannot offer metrics at {address}: {error}; give another address with metrics-listen")]
    Address {
        /// The address.
        address: String,
        /// The system's answer.
        error: io::Error,
    },
    /// The socket cannot be where it should.
    #[error("cannot offer metrics at a socket: {0}")]
    Place(#[from] PlaceError),
}

/// A listening endpoint; a UNIX socket is removed when it is dropped.
pub struct MetricsServer {
    listener: Listener,
    address: String,
    started: SystemTime,
}

enum Listener {
    Tcp(TcpListener),
    Unix(
        UnixListener,
        #[expect(dead_code, reason = "removes the socket when dropped")] Place,
    ),
}

/// A connection of either kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl MetricsServer {
    /// Listens, if anywhere. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// [`MetricsError`].
    pub fn open(listen: &MetricsListen) -> Result<Option<Self>, MetricsError> {
        let refuse = |error| MetricsError::Address {
            address: listen.to_string(),
            error,
        };
        let (listener, address) = match listen {
            MetricsListen::Off => return Ok(None),
            MetricsListen::Tcp(address) => {
                let listener = std::net::TcpListener::bind(address).map_err(refuse)?;
                listener.set_nonblocking(true).map_err(refuse)?;
                let bound = listener.local_addr().map_err(refuse)?;
                let listener = TcpListener::from_std(listener).map_err(refuse)?;
                (Listener::Tcp(listener), bound.to_string())
            }
            MetricsListen::Unix(path) => {
                let access = Access {
                    owner: None,
                    group: None,
                    mode: 0o660,
                };
                let mut place = Place::prepare(path, access)?;
                let listener = UnixListener::from_std(place.open()?).map_err(refuse)?;
                (Listener::Unix(listener, place), listen.to_string())
            }
        };
        Ok(Some(Self {
            listener,
            address,
            started: SystemTime::now(),
        }))
    }

    /// Where it listens; a port that the system chose included.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Serves scrapes until dropped.
    pub async fn serve(&self, engine: Arc<dyn Engine>) {
        let seats = Arc::new(Semaphore::new(MAX_SCRAPERS));
        let desk = Arc::new(Desk {
            engine,
            started: self.started,
            scrapes: Arc::new(Semaphore::new(MAX_SCRAPES)),
            refused: AtomicU64::new(0),
        });
        let mut connections = JoinSet::new();
        let mut pause = MIN_PAUSE;
        loop {
            let Ok(seat) = seats.clone().acquire_owned().await else {
                return;
            };
            while connections.try_join_next().is_some() {}
            match self.accept().await {
                Ok(stream) => {
                    pause = MIN_PAUSE;
                    let desk = desk.clone();
                    connections.spawn(async move {
                        let _seat = seat;
                        desk.serve(stream).await;
                    });
                }
                Err(error) => {
                    tracing::warn!("cannot accept a scrape: {error}");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                }
            }
        }
    }

    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match &self.listener {
            Listener::Tcp(listener) => Box::new(listener.accept().await?.0),
            Listener::Unix(listener, _) => Box::new(listener.accept().await?.0),
        })
    }
}

/// Answers requests.
struct Desk {
    engine: Arc<dyn Engine>,
    started: SystemTime,
    scrapes: Arc<Semaphore>,
    refused: AtomicU64,
}

impl Desk {
    async fn serve(&self, stream: Box<dyn Stream>) {
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(REQUEST_DEADLINE)
            .max_buf_size(MAX_REQUEST_HEAD)
            .max_headers(MAX_REQUEST_LINES)
            .keep_alive(false)
            .serve_connection(
                TokioIo::new(stream),
                service_fn(async |request| Ok::<_, Infallible>(self.answer(&request).await)),
            );
        match timeout(SCRAPE_DEADLINE, served).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!("a scrape did not end well: {error}"),
            Err(_) => tracing::debug!("a scrape took too long and was cut off"),
        }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Answer> {
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/metrics") => self.scrape().await,
            (&Method::HEAD, "/metrics") => reply(StatusCode::OK, CONTENT_TYPE, TEXT_FORMAT, ""),
            (&Method::GET | &Method::HEAD, _) => {
                let hint = "mdevd offers its counters at /metrics\n";
                reply(StatusCode::NOT_FOUND, CONTENT_TYPE, "text/plain", hint)
            }
            _ => reply(
                StatusCode::METHOD_NOT_ALLOWED,
                ALLOW,
                "GET, HEAD",
                "only GET and HEAD\n",
            ),
        }
    }

    async fn scrape(&self) -> Response<Answer> {
        let Ok(permit) = self.scrapes.clone().try_acquire_owned() else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            let busy = "too many scrapes at a time\n";
            return reply(StatusCode::SERVICE_UNAVAILABLE, RETRY_AFTER, "1", busy);
        };
        let (engine, started) = (self.engine.clone(), self.started);
        let refused = self.refused.load(Ordering::Relaxed);
        let taken =
            tokio::task::spawn_blocking(move || Snapshot::take(&*engine, started, refused)).await;
        let Ok(snapshot) = taken else {
            let fault = "a fault of mdevd; its log says more\n";
            return reply(
                StatusCode::INTERNAL_SERVER_ERROR,
                CONTENT_TYPE,
                "text/plain",
                fault,
            );
        };
        let mut response = reply(StatusCode::OK, CONTENT_TYPE, TEXT_FORMAT, "");
        *response.body_mut() = Answer::Metrics(Exposition::new(Arc::new(snapshot)), permit);
        response
    }
}

fn reply(
    status: StatusCode,
    header: HeaderName,
    value: &'static str,
    text: &'static str,
) -> Response<Answer> {
    let mut response = Response::new(Answer::Text(Some(text)));
    *response.status_mut() = status;
    let value = hyper::header::HeaderValue::from_static(value);
    response.headers_mut().insert(header, value);
    response
}

/// A body: a short text, or metrics, which hold their place among the scrapes until they are sent.
enum Answer {
    Text(Option<&'static str>),
    Metrics(
        Exposition,
        #[expect(dead_code, reason = "given back when dropped")] OwnedSemaphorePermit,
    ),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match self.get_mut() {
            Self::Text(text) => text.take().filter(|text| !text.is_empty()).map(Bytes::from),
            Self::Metrics(exposition, _) => exposition.next().map(Bytes::from),
        };
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }
}
