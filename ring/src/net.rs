//! Sockets: listening, connecting, receiving, sending.
//!
//! Must not know frames. Sockets are TCP; receives are operations of the ring, sends are system
//! calls that do not block (see `send_pieces`). A [`Stream`] may move to another
//! thread while nothing of it is in flight; what is in flight belongs to the thread that started it.

use crate::buffer::Buffer;
use crate::descriptor::{Descriptor, owned_or_errno};
use crate::driver::Operation;
use crate::in_flight::{Address, Held};
use io_uring::opcode;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

pub use crate::send_pieces::Piece;

/// Whether several listeners may share one address; the kernel then spreads connections over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReusePort {
    /// Each shard listens on the same address.
    Yes,
    /// The address is this listener's alone.
    No,
}

/// A listening TCP socket.
#[derive(Clone, Debug)]
pub struct Listener {
    descriptor: Descriptor,
}

impl Listener {
    /// Listens on `address` with room for `backlog` connections that are not accepted yet.
    pub fn bind(address: SocketAddr, reuse_port: ReusePort, backlog: u32) -> io::Result<Self> {
        let descriptor = new_socket(address)?;
        set_option(&descriptor, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
        if reuse_port == ReusePort::Yes {
            set_option(&descriptor, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
        }
        let name = Address::from(address);
        // SAFETY: the name is valid for its length and only read during the call.
        check(unsafe { libc::bind(descriptor.raw(), name.pointer(), name.len) })?;
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        // SAFETY: listen takes no pointers.
        check(unsafe { libc::listen(descriptor.raw(), backlog) })?;
        Ok(Self { descriptor })
    }

    /// Takes over a listener that was made elsewhere. It must be in blocking mode, as std's are.
    pub fn from_std(listener: std::net::TcpListener) -> Self {
        Self {
            descriptor: Descriptor::new(listener.into()),
        }
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        local_name(&self.descriptor)
    }

    /// Ends it: accepts in flight fail, and the address is free.
    pub fn shutdown(&self) {
        // SAFETY: shutdown takes no pointers. Its only failure is a socket that is closed already.
        unsafe { libc::shutdown(self.descriptor.raw(), libc::SHUT_RDWR) };
    }

    /// The next connection, with its peer's address.
    ///
    /// Dropping the future is for the end of the listener: until the kernel has cancelled it, it can
    /// take the wake-up that another accept waits for.
    pub async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        let mut peer = Box::new(Address::empty());
        let name = (&raw mut peer.storage).cast();
        let accept = opcode::Accept::new(self.descriptor.in_ring(), name, &raw mut peer.len)
            .flags(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK);
        let held = Held::Accept(self.descriptor.clone(), peer);
        // SAFETY: name and length are on the heap behind the address that is held.
        let accepted = unsafe { Operation::start(accept.build(), held) }.await;
        let raw = accepted.result()?;
        // SAFETY: the kernel just made it for us.
        let fd = unsafe { OwnedFd::from_raw_fd(raw as i32) };
        let stream = Stream {
            descriptor: Descriptor::new(fd),
        };
        let Held::Accept(_, peer) = accepted.held else {
            unreachable!("an accept")
        };
        Ok((stream, peer.to_socket_addr()?))
    }
}

/// A connected TCP socket. Clones are the same socket.
#[derive(Clone, Debug)]
pub struct Stream {
    descriptor: Descriptor,
}

/// Connects to `address`.
pub async fn connect(address: SocketAddr) -> io::Result<Stream> {
    let descriptor = new_socket(address)?;
    let name = Box::new(Address::from(address));
    let connect = opcode::Connect::new(descriptor.in_ring(), name.pointer(), name.len);
    let held = Held::Address(descriptor.clone(), name);
    // SAFETY: the name is on the heap behind the address that is held.
    unsafe { Operation::start(connect.build(), held) }
        .await
        .result()?;
    Stream::from_descriptor(descriptor)
}

impl Stream {
    /// Takes over a socket that was connected elsewhere.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        Self::from_descriptor(Descriptor::new(stream.into()))
    }

    /// `sendfile` must not block: the socket has to be in non-blocking mode. The ring's operations
    /// wait all the same.
    fn from_descriptor(descriptor: Descriptor) -> io::Result<Self> {
        let mut on: libc::c_int = 1;
        // SAFETY: FIONBIO reads an int through the pointer during the call.
        check(unsafe { libc::ioctl(descriptor.raw(), libc::FIONBIO, &mut on) })?;
        Ok(Self { descriptor })
    }

    pub(crate) fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Receives once, and appends to `buffer`, which is given the next size if it is full. Returns
    /// how much was appended: 0 when the peer has ended its side.
    ///
    /// Dropping the future can lose bytes: do so only to close the connection.
    pub fn recv(&self, buffer: Buffer) -> impl Future<Output = (io::Result<usize>, Buffer)> {
        self.recv_at_most(buffer, usize::MAX)
    }

    /// As [`recv`](Self::recv), but receives at most `bytes_max` bytes: what follows stays in the
    /// socket.
    pub async fn recv_at_most(
        &self,
        mut buffer: Buffer,
        bytes_max: usize,
    ) -> (io::Result<usize>, Buffer) {
        loop {
            buffer.make_room();
            let (start, spare) = buffer.spare_pointer();
            let spare = spare.min(u32::try_from(bytes_max).unwrap_or(u32::MAX));
            let recv = opcode::Recv::new(self.descriptor().in_ring(), start, spare);
            let held = Held::Buffer(self.descriptor().clone(), buffer);
            // SAFETY: the spare capacity is on the heap behind the buffer that is held.
            let done = unsafe { Operation::start(recv.build(), held) }.await;
            let received = done.result();
            let Held::Buffer(_, returned) = done.held else {
                unreachable!("a receive")
            };
            buffer = returned;
            match received {
                Ok(bytes) => {
                    buffer.advance(bytes as usize);
                    return (Ok(bytes as usize), buffer);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Kernels that do not wait for sockets in non-blocking mode.
                    if let Err(error) = self.ready(libc::POLLIN).await {
                        return (Err(error), buffer);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (Err(error), buffer),
            }
        }
    }

    /// Waits until the socket is ready for `events` or has failed.
    pub(crate) async fn ready(&self, events: libc::c_short) -> io::Result<()> {
        let poll = opcode::PollAdd::new(self.descriptor().in_ring(), events as u32);
        Operation::on_descriptor(poll.build(), self.descriptor().clone())
            .await
            .result()
            .map(drop)
    }

    /// Ends both directions: receives in flight end with 0, sends fail, the peer sees the end.
    /// For sockets that are closed already it does nothing.
    pub fn shutdown(&self) {
        // SAFETY: shutdown takes no pointers. Its only failure is a socket that is closed already.
        unsafe { libc::shutdown(self.descriptor().raw(), libc::SHUT_RDWR) };
    }

    /// Ends this side's sending: the peer sees the end behind what was sent.
    pub fn shutdown_send(&self) {
        // SAFETY: as in `shutdown`.
        unsafe { libc::shutdown(self.descriptor().raw(), libc::SHUT_WR) };
    }

    /// Sends small segments at once (`TCP_NODELAY`).
    pub fn set_nodelay(&self) -> io::Result<()> {
        set_option(self.descriptor(), libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)
    }

    /// Bounds the kernel's send buffer (`SO_SNDBUF`).
    pub fn set_send_buffer_bytes(&self, bytes: u32) -> io::Result<()> {
        let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
        set_option(self.descriptor(), libc::SOL_SOCKET, libc::SO_SNDBUF, bytes)
    }

    /// Bounds the kernel's receive buffer (`SO_RCVBUF`).
    pub fn set_receive_buffer_bytes(&self, bytes: u32) -> io::Result<()> {
        let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
        set_option(self.descriptor(), libc::SOL_SOCKET, libc::SO_RCVBUF, bytes)
    }

    /// This side's address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        local_name(self.descriptor())
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor().owned().as_fd()
    }
}

impl Address {
    fn empty() -> Self {
        // SAFETY: sockaddr_storage is plain data for which zeroes mean an unspecified family.
        let storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
        Self {
            storage,
            len: size_of::<libc::sockaddr_storage>() as libc::socklen_t,
        }
    }

    pub(crate) fn pointer(&self) -> *const libc::sockaddr {
        (&raw const self.storage).cast()
    }

    fn to_socket_addr(&self) -> io::Result<SocketAddr> {
        match i32::from(self.storage.ss_family) {
            libc::AF_INET => {
                // SAFETY: the family says that the storage holds a sockaddr_in, which is smaller.
                let name = unsafe { &*(&raw const self.storage).cast::<libc::sockaddr_in>() };
                let ip = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
                Ok(SocketAddrV4::new(ip, u16::from_be(name.sin_port)).into())
            }
            libc::AF_INET6 => {
                // SAFETY: the family says that the storage holds a sockaddr_in6, which is smaller.
                let name = unsafe { &*(&raw const self.storage).cast::<libc::sockaddr_in6>() };
                let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
                let port = u16::from_be(name.sin6_port);
                Ok(SocketAddrV6::new(ip, port, name.sin6_flowinfo, name.sin6_scope_id).into())
            }
            _ => Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT)),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        let mut name = Self::empty();
        match address {
            SocketAddr::V4(v4) => {
                let place = (&raw mut name.storage).cast::<libc::sockaddr_in>();
                let in4 = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr {
                        s_addr: u32::from(*v4.ip()).to_be(),
                    },
                    sin_zero: [0; 8],
                };
                // SAFETY: the storage is large enough and aligned for every address family.
                unsafe { place.write(in4) };
                name.len = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            }
            SocketAddr::V6(v6) => {
                let place = (&raw mut name.storage).cast::<libc::sockaddr_in6>();
                let in6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: v6.flowinfo(),
                    sin6_addr: libc::in6_addr {
                        s6_addr: v6.ip().octets(),
                    },
                    sin6_scope_id: v6.scope_id(),
                };
                // SAFETY: the storage is large enough and aligned for every address family.
                unsafe { place.write(in6) };
                name.len = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            }
        }
        name
    }
}

fn new_socket(address: SocketAddr) -> io::Result<Descriptor> {
    let family = if address.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    // SAFETY: socket takes no pointers.
    let made = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    owned_or_errno(made).map(Descriptor::new)
}

fn set_option(
    descriptor: &Descriptor,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    let value = (&raw const value).cast();
    // SAFETY: the value is an int, as its length says, and lives through the call.
    check(unsafe { libc::setsockopt(descriptor.raw(), level, option, value, len) })
}

fn local_name(descriptor: &Descriptor) -> io::Result<SocketAddr> {
    let mut name = Address::empty();
    // SAFETY: the storage is valid for writes of the length that is passed.
    check(unsafe {
        libc::getsockname(
            descriptor.raw(),
            (&raw mut name.storage).cast(),
            &raw mut name.len,
        )
    })?;
    name.to_socket_addr()
}

fn check(rc: libc::c_int) -> io::Result<()> {
    if rc < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
