use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use smol::io::{AsyncRead, AsyncWrite};

use super::*;
use crate::limits::{TINODE_WAITING_BYTES_MAX, TINODE_WAITING_MAX};
use crate::net::guest::Guests;
use crate::net::testing::{LONG, PATIENT, SHORT, Stage, play};
use crate::pool::Pool;
use pipe::Said;

struct Ends {
    guests: Arc<Guests>,
    buffers: Arc<Pool>,
    outer: Arc<Pipe>,
    inner: Box<Inner>,
}

fn ends(absent: Duration) -> Ends {
    let buffers = Arc::new(Pool::new(1 << 20));
    let guests = Arc::new(Guests::new(Arc::default(), 100, 100));
    let (outer, inner) = Pipe::new(buffers.clone(), guests.clone(), absent);
    Ends { guests, buffers, outer, inner }
}

fn nobody() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn frame(packet: &[u8]) -> Vec<u8> {
    [&(packet.len() as u32).to_be_bytes(), packet].concat()
}

fn write(inner: &mut Inner, bytes: &[u8]) -> Poll<Result<usize, io::ErrorKind>> {
    Pin::new(inner).poll_write(&mut nobody(), bytes).map_err(|error| error.kind())
}

fn read(inner: &mut Inner, most: usize) -> Poll<Vec<u8>> {
    read_with(inner, &mut nobody(), most)
}

fn read_with(inner: &mut Inner, cx: &mut Context<'_>, most: usize) -> Poll<Vec<u8>> {
    let mut bytes = vec![0; most];
    let read = Pin::new(inner).poll_read(cx, &mut bytes);
    read.map(|n| {
        bytes.truncate(n.expect("reading never fails"));
        bytes
    })
}

#[test]
fn packets_go_through_whole_and_in_order() {
    let Ends { buffers, outer, mut inner, .. } = ends(LONG);
    let written = [frame(b"one"), frame(b""), frame(b"three")].concat();
    assert_eq!(write(&mut inner, &written), Poll::Ready(Ok(written.len())));
    let parked = outer.park();
    for packet in ["one", "", "three"] {
        assert_eq!(parked.poll_next(&nobody()), Poll::Ready(Some(packet.into())));
    }
    assert_eq!(parked.poll_next(&nobody()), Poll::Pending);

    assert!(read(&mut inner, 10).is_pending());
    assert_eq!(outer.poll_say(&nobody(), b"hello"), Poll::Ready(Said::Yes));
    assert_eq!(outer.poll_say(&nobody(), b"more"), Poll::Pending);
    assert_eq!(read(&mut inner, 6), Poll::Ready(frame(b"hello")[..6].into()));
    assert_eq!(outer.poll_say(&nobody(), b"more"), Poll::Pending);
    assert_eq!(read(&mut inner, 6), Poll::Ready(frame(b"hello")[6..].into()));
    assert_eq!(outer.poll_say(&nobody(), b"more"), Poll::Ready(Said::Yes));
    assert!(buffers.take(1 << 20), "small packets are not counted");
}

#[test]
fn what_waits_is_counted_and_bounded() {
    let Ends { guests, buffers, outer, mut inner } = ends(LONG);
    let small = frame(b"x");
    let many = small.repeat(TINODE_WAITING_MAX + 1);
    let fit = many.len() - small.len();
    assert_eq!(write(&mut inner, &many), Poll::Ready(Ok(fit)));
    assert_eq!(write(&mut inner, &small), Poll::Pending);
    let parked = outer.park();
    assert!(parked.poll_next(&nobody()).is_ready());
    assert_eq!(write(&mut inner, &small), Poll::Ready(Ok(small.len())));
    while parked.poll_next(&nobody()).is_ready() {}

    let large = frame(&vec![b'x'; TINODE_WAITING_BYTES_MAX]);
    assert_eq!(write(&mut inner, &large), Poll::Ready(Ok(large.len())));
    assert!(!buffers.take((1 << 20) - large.len()), "it is counted");
    assert_eq!(write(&mut inner, &small), Poll::Pending);
    // Whoever takes nothing does not hold up the server's end.
    guests.send_away();
    assert_eq!(write(&mut inner, &small), Poll::Ready(Err(io::ErrorKind::BrokenPipe)));
    assert!(parked.poll_next(&nobody()).is_ready());
    let huge = frame(&vec![b'x'; 1 << 20]);
    assert_eq!(write(&mut inner, &huge), Poll::Ready(Err(io::ErrorKind::OutOfMemory)));
    // Half a packet is never written.
    assert_eq!(write(&mut inner, &huge[..9]), Poll::Ready(Err(io::ErrorKind::InvalidData)));
    assert_eq!(write(&mut inner, &large), Poll::Ready(Ok(large.len())));
    drop((parked, outer, inner));
    assert!(buffers.take(1 << 20), "all of it was given back");
}

#[test]
fn only_the_newest_poll_takes() {
    let Ends { outer, mut inner, .. } = ends(LONG);
    let first = outer.park();
    assert_eq!(first.poll_next(&nobody()), Poll::Pending);
    let second = outer.park();
    assert_eq!(write(&mut inner, &frame(b"x")), Poll::Ready(Ok(5)));
    assert_eq!(first.poll_next(&nobody()), Poll::Ready(None));
    drop(first);
    assert!(outer.is_parked());
    assert_eq!(second.poll_next(&nobody()), Poll::Ready(Some(b"x".into())));
    drop(second);
    assert!(!outer.is_parked());
}

#[test]
fn either_sides_end_is_the_others() {
    let Ends { outer, mut inner, .. } = ends(LONG);
    assert_eq!(write(&mut inner, &frame(b"last")), Poll::Ready(Ok(8)));
    let parked = outer.park();
    drop(inner);
    assert_eq!(parked.poll_next(&nobody()), Poll::Ready(Some(b"last".into())));
    assert_eq!(parked.poll_next(&nobody()), Poll::Ready(None));
    assert_eq!(outer.poll_say(&nobody(), b"x"), Poll::Ready(Said::Over));

    let Ends { outer, mut inner, .. } = ends(SHORT);
    play(async {
        let end = poll_fn(|cx| Pin::new(&mut *inner).poll_read(cx, &mut [0]));
        assert_eq!(end.await.unwrap(), 0, "nobody has asked for anything");
    });
    assert_eq!(outer.poll_say(&nobody(), b"x"), Poll::Ready(Said::Over));
    assert_eq!(write(&mut inner, &frame(b"x")), Poll::Ready(Err(io::ErrorKind::BrokenPipe)));
}

#[test]
fn every_request_gives_a_session_its_time_anew() {
    let Ends { outer, mut inner, .. } = ends(LONG);
    play(async {
        let mut read = async || poll_fn(|cx| Poll::Ready(read_with(&mut inner, cx, 10))).await;
        assert!(read().await.is_pending());
        let parked = outer.park();
        outer.age(LONG);
        assert!(read().await.is_pending(), "a poll has a time of its own");
        drop(parked);
        assert!(read().await.is_pending());
        outer.age(LONG);
        assert_eq!(outer.poll_say(&nobody(), b"x"), Poll::Ready(Said::Yes));
        assert_eq!(read().await, Poll::Ready(frame(b"x")));
        assert!(read().await.is_pending());
        outer.age(LONG);
        assert_eq!(read().await, Poll::Ready(Vec::new()));
    });
}

#[test]
fn a_session_is_small() {
    let stage = Stage::new(PATIENT);
    let guest = stage.guests.admit(Ipv4Addr::LOCALHOST.into(), Carrier::TinodePoll).unwrap();
    let Ends { inner, .. } = ends(LONG);
    let place = Place { host: stage.host.clone(), secret: Secret::default() };
    let size = size_of_val(&serve(place, guest, inner, Box::default()));
    // With the pipe, its inner end, the seat and a timer: some one kilobyte.
    let pipe = size_of::<Pipe>() + size_of::<Inner>();
    assert!(size <= 480 && pipe <= 400, "{size}, {pipe} bytes");
}
