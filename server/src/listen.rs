//! Listening sockets. One shard accepts and deals the connections out to all shards in turn, so
//! that few connections are spread as evenly as many.

use std::cell::Cell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use ring::net::{ReusePort, Stream};

use crate::config::{Listener, ServerConfig};
use crate::shard::{Shard, ShardId};

/// How long accepting rests after an error such as too many open files.
const REST_AFTER_ERROR: Duration = Duration::from_millis(100);

/// How many connections are accepted in one turn at most. With one, clients that all come back at
/// once fill the backlog while the shard serves others, and wait a second for their next try.
const ACCEPTS_IN_FLIGHT: usize = 32;

/// How long the address of a process that was killed may still be in use.
const ADDRESS_FREE_WITHIN: Duration = Duration::from_secs(3);
/// How often it is tried meanwhile.
const ADDRESS_TRY_INTERVAL: Duration = Duration::from_millis(10);

/// Why a listener cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {name}://{host}:{port}: {source}")]
pub struct BindError {
    name: String,
    host: String,
    port: u16,
    source: io::Error,
}

/// Binds all listeners of the configuration, in its order.
pub fn bind(config: &ServerConfig) -> Result<Vec<ring::net::Listener>, BindError> {
    config
        .listeners
        .iter()
        .map(|listener| bind_one(listener, config))
        .collect()
}

/// Binds one listener. Blocks for a while if its address is in use.
pub fn bind_one(
    listener: &Listener,
    config: &ServerConfig,
) -> Result<ring::net::Listener, BindError> {
    bind_to_one_of(listener, config.socket_listen_backlog_size).map_err(|source| BindError {
        name: listener.name.clone(),
        host: listener.host.clone(),
        port: listener.port,
        source,
    })
}

fn bind_to_one_of(listener: &Listener, backlog: u32) -> io::Result<ring::net::Listener> {
    let addresses: Vec<SocketAddr> = if listener.host.is_empty() {
        vec![(Ipv4Addr::UNSPECIFIED, listener.port).into()]
    } else {
        (listener.host.as_str(), listener.port)
            .to_socket_addrs()?
            .collect()
    };
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match bind_address(address, backlog) {
            Ok(bound) => return Ok(bound),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// The kernel takes apart a killed process's ring after the process is gone; until then the accept
/// that was in flight holds the address. So an address in use is tried for a while.
fn bind_address(address: SocketAddr, backlog: u32) -> io::Result<ring::net::Listener> {
    let deadline = Instant::now() + ADDRESS_FREE_WITHIN;
    loop {
        match ring::net::Listener::bind(address, ReusePort::No, backlog) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                thread::park_timeout(ADDRESS_TRY_INTERVAL);
            }
            result => return result,
        }
    }
}

/// A listener that accepts.
pub struct Accepting(Rc<Socket>);

struct Socket {
    listener: usize,
    socket: ring::net::Listener,
    /// The shard that took the last connection.
    turn: Cell<usize>,
    is_closed: Cell<bool>,
}

impl Accepting {
    /// Accepts no more, and gives the address up.
    pub fn end(&self) {
        self.0.is_closed.set(true);
        self.0.socket.shutdown();
    }
}

/// Accepts on listener number `listener` until it is closed or the node stops.
pub fn start_accepting(
    shard: &Rc<Shard>,
    listener: usize,
    socket: ring::net::Listener,
) -> Accepting {
    let socket = Rc::new(Socket {
        listener,
        socket,
        turn: Cell::new(0),
        is_closed: Cell::new(false),
    });
    for _ in 0..ACCEPTS_IN_FLIGHT {
        ring::spawn(accept(shard.clone(), socket.clone()));
    }
    Accepting(socket)
}

async fn accept(shard: Rc<Shard>, from: Rc<Socket>) {
    while !shard.is_stopping() && !from.is_closed.get() {
        match from.socket.accept().await {
            Ok((stream, peer)) => {
                let next = (from.turn.get() + 1) % shard.count();
                from.turn.set(next);
                hand_over(&shard, ShardId(next), from.listener, peer, stream);
            }
            Err(_) if from.is_closed.get() => return,
            Err(error) => {
                tracing::error!("accepting a connection failed: {error}");
                ring::timer::sleep(REST_AFTER_ERROR).await;
            }
        }
    }
}

fn hand_over(shard: &Rc<Shard>, to: ShardId, listener: usize, peer: SocketAddr, stream: Stream) {
    if let Err(error) = prepare(&shard.config, &stream) {
        tracing::warn!("connection from {peer}: {error}");
        return;
    }
    shard.post_to(to, move |there| {
        ring::spawn(there.clone().serve_connection(listener, peer, stream));
    });
}

/// Socket buffers. The defaults are not Kafka's 100 KiB: a receive buffer of that size makes each
/// receive send the producer's next segments itself, which doubles a produced GB's CPU time, so the
/// kernel sizes it; a send buffer of 256 KiB costs a fetched GB a fifth less, but one that the kernel
/// sizes a third more, because the data leaves the cache before it is received.
fn prepare(config: &ServerConfig, stream: &Stream) -> io::Result<()> {
    stream.set_nodelay()?;
    if let Some(bytes) = config.socket_send_buffer_bytes {
        stream.set_send_buffer_bytes(bytes as u32)?;
    }
    if let Some(bytes) = config.socket_receive_buffer_bytes {
        stream.set_receive_buffer_bytes(bytes as u32)?;
    }
    Ok(())
}
