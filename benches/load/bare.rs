//! `load bare`: a server that only passes messages on, with or without putting them on the disk
//! first. It is no server that anybody could use; it is what the machine under every other one
//! takes by itself.
//!
//! `I name` says who one is, `J` joins the one room, `M name text` is for one other and `M * text`
//! for the room; both are answered `A`. All that was received in one turn is written and synced at
//! once, and only then passed on.

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;

use argh::FromArgs;
use rustix::event::epoll;

const EVENTS: usize = 512;
const CHUNK_BYTES: usize = 64 * 1024;
const LISTENER: u64 = u64::MAX;

/// Pass messages on, and do nothing else.
#[derive(Clone, Debug, FromArgs)]
#[argh(subcommand, name = "bare")]
pub(crate) struct Bare {
    /// the port to listen at, on the loopback
    #[argh(option)]
    port: u16,
    /// a file to append every message to and to sync before it is passed on
    #[argh(option)]
    file: Option<PathBuf>,
}

#[derive(Debug)]
struct Guest {
    stream: TcpStream,
    rest: Vec<u8>,
    output: Vec<u8>,
}

#[derive(Debug, Default)]
struct Hall {
    guests: Vec<Option<Guest>>,
    names: HashMap<Vec<u8>, usize>,
    room: Vec<usize>,
    /// Who wrote which line in this turn.
    written: Vec<(usize, Vec<u8>)>,
    file: Option<File>,
}

pub(crate) fn run(bare: &Bare) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("the bare relay: {e}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, bare.port)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let file = bare.file.as_ref().map(File::create).transpose().map_err(failed)?;
    let mut hall = Hall { file, ..Hall::default() };
    serve(&listener, &mut hall).map_err(failed)
}

fn serve(listener: &TcpListener, hall: &mut Hall) -> std::io::Result<()> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
    let mut events = Vec::with_capacity(EVENTS);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        events.clear();
        match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        for event in &events {
            match event.data.u64() {
                LISTENER => hall.accept(listener, &poll)?,
                index => hall.read(index as usize, &mut chunk),
            }
        }
        hall.pass_on()?;
    }
}

impl Hall {
    fn accept(
        &mut self,
        listener: &TcpListener,
        poll: &std::os::fd::OwnedFd,
    ) -> std::io::Result<()> {
        while let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let data = epoll::EventData::new_u64(self.guests.len() as u64);
            epoll::add(poll, &stream, data, epoll::EventFlags::IN)?;
            self.guests.push(Some(Guest { stream, rest: Vec::new(), output: Vec::new() }));
        }
        Ok(())
    }

    fn read(&mut self, index: usize, chunk: &mut [u8]) {
        let Some(Some(guest)) = self.guests.get_mut(index) else { return };
        match guest.stream.read(chunk) {
            Ok(n) if n > 0 => guest.rest.extend_from_slice(&chunk[..n]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return,
            Ok(_) | Err(_) => {
                self.guests[index] = None;
                self.room.retain(|member| *member != index);
                return;
            }
        }
        let Some(end) = guest.rest.iter().rposition(|byte| *byte == b'\n') else { return };
        let lines: Vec<u8> = guest.rest.drain(..=end).collect();
        if guest.rest.is_empty() {
            guest.rest = Vec::new();
        }
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.on_line(index, line);
        }
    }

    fn on_line(&mut self, index: usize, line: &[u8]) {
        match line {
            [b'I', b' ', name @ ..] => {
                self.names.insert(name.to_vec(), index);
                self.put(index, &[b"I\n"]);
                self.flush(index);
            }
            b"J" => {
                self.room.push(index);
                self.put(index, &[b"J\n"]);
                self.flush(index);
            }
            [b'M', b' ', message @ ..] => self.written.push((index, message.to_vec())),
            _ => {}
        }
    }

    /// First the disk, then everybody.
    fn pass_on(&mut self) -> std::io::Result<()> {
        if self.written.is_empty() {
            return Ok(());
        }
        if let Some(file) = &mut self.file {
            let all: Vec<u8> = self.written.iter().flat_map(|(_, line)| line).copied().collect();
            file.write_all(&all)?;
            file.sync_data()?;
        }
        let mut touched = Vec::new();
        for (from, message) in std::mem::take(&mut self.written) {
            let Some(space) = message.iter().position(|byte| *byte == b' ') else { continue };
            let (to, text) = (&message[..space], &message[space + 1..]);
            let hearers = match to {
                b"*" => self.room.clone(),
                name => self.names.get(name).copied().into_iter().collect(),
            };
            for hearer in hearers.into_iter().filter(|hearer| *hearer != from) {
                self.put(hearer, &[b"M ", text, b"\n"]);
                touched.push(hearer);
            }
            self.put(from, &[b"A\n"]);
            touched.push(from);
        }
        touched.iter().for_each(|index| self.flush(*index));
        Ok(())
    }

    fn put(&mut self, index: usize, parts: &[&[u8]]) {
        if let Some(Some(guest)) = self.guests.get_mut(index) {
            parts.iter().for_each(|part| guest.output.extend_from_slice(part));
        }
    }

    /// Sends what is to be sent; waits where the socket is full, as only a load program can afford.
    fn flush(&mut self, index: usize) {
        let Some(Some(guest)) = self.guests.get_mut(index) else { return };
        let output = std::mem::take(&mut guest.output);
        let mut left = output.as_slice();
        while !left.is_empty() {
            match guest.stream.write(left) {
                Ok(n) => left = &left[n..],
                Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(_) => return,
            }
        }
    }
}
