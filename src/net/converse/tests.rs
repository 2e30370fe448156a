use smol::future::zip;
use smol::io::AsyncWriteExt;

use super::*;
use crate::domain::words::Event;
use crate::net::host::Patience;
use crate::net::testing::*;
use crate::wire::{Credentials, Habit};

/// A packet is a line.
struct Lines {
    beat: Option<u64>,
}

impl Codec for Lines {
    type Packet = String;

    fn decode(&mut self, input: &mut Buffer) -> Result<Option<String>, Broken<String>> {
        let Some(end) = input.as_slice().iter().position(|b| *b == b'\n') else { return Ok(None) };
        let line = String::from_utf8_lossy(&input.as_slice()[..end]).into_owned();
        input.consume(end + 1);
        if line == "bad" {
            return Err(Broken { last: Some("error".into()), why: Farewell::Malformed });
        }
        Ok(Some(line))
    }

    fn encode(&mut self, packet: &String, out: &mut Vec<u8>) {
        out.extend_from_slice(packet.as_bytes());
        out.push(b'\n');
    }

    fn beat_secs(&self) -> Option<u64> {
        self.beat
    }

    fn on_beat(&mut self, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(b"beat\n");
        self.beat = None;
        true
    }

    fn farewell(&mut self, why: Farewell, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{why:?}\n").as_bytes());
    }
}

/// `use N` and `login` ask, `bye` ends, `long` has a long answer, everything else is said again.
struct Echo;

impl Dialogue for Echo {
    type Packet = String;

    fn on_packet(&mut self, packet: String, out: &mut Vec<String>) -> Next {
        let (who, what) = match packet.split_once(' ') {
            Some(("use", n)) => (Some(session_id(n.parse().unwrap())), What::Attach),
            _ if packet == "login" => {
                (None, What::LogIn(Credentials { login: None, password: Vec::new() }))
            }
            _ if packet == "long" => {
                out.push("x".repeat(30_000));
                return Next::Listen;
            }
            _ if packet == "bye" => return Next::HangUp(Farewell::Done),
            _ => {
                out.push(packet);
                return Next::Listen;
            }
        };
        let habit = crate::wire::Habit::default();
        Next::Ask(Ask { who, session_required: true, layer: 3, habit, what: Ok(what) })
    }

    fn on_reply(&mut self, reply: Result<Reply, Refusal>, out: &mut Vec<String>) -> Next {
        out.push(reply.map_or_else(|refusal| format!("{refusal:?}"), |_| "ok".into()));
        Next::Listen
    }

    fn on_told(&mut self, who: &SessionId, _: u32, told: &Told<'_>, out: &mut Vec<String>) {
        let who = who.bytes()[0];
        out.push(match told {
            Told::Event(event) => match &***event {
                Event::ContactRemoved { who: what } => format!("{who} {what}"),
                _ => unreachable!("only those are posted"),
            },
            Told::Resync { last } => format!("{who} resync {}", last.0),
        });
    }
}

/// Greets and says goodbye. `N` asks that many questions, `N!` hangs up after them.
#[derive(Default)]
struct Steps {
    left: u32,
    hangs_up: bool,
}

impl Steps {
    fn next(&mut self, out: &mut Vec<String>) -> Next {
        match self.left {
            0 if self.hangs_up => Next::HangUp(Farewell::Done),
            0 => {
                out.push("done".into());
                Next::Listen
            }
            _ => {
                self.left -= 1;
                let who = Some(session_id(1));
                Next::Ask(Ask {
                    who,
                    session_required: true,
                    layer: 3,
                    habit: Habit::default(),
                    what: Ok(What::Attach),
                })
            }
        }
    }
}

impl Dialogue for Steps {
    type Packet = String;

    fn on_open(&mut self, out: &mut Vec<String>) {
        out.push("hello".into());
    }

    fn on_packet(&mut self, packet: String, out: &mut Vec<String>) -> Next {
        self.hangs_up = packet.ends_with('!');
        self.left = packet.trim_end_matches('!').parse().unwrap();
        self.next(out)
    }

    fn on_reply(&mut self, reply: Result<Reply, Refusal>, out: &mut Vec<String>) -> Next {
        out.push(if reply.is_ok() { "ok".into() } else { "refused".into() });
        self.next(out)
    }

    fn on_told(&mut self, who: &SessionId, layer: u32, told: &Told<'_>, out: &mut Vec<String>) {
        Echo.on_told(who, layer, told, out);
    }

    fn on_close(&mut self, why: Farewell, out: &mut Vec<String>) {
        out.push(format!("bye {why:?}"));
    }
}

/// Runs a conversation beside the test's script of its client.
fn talk(stage: &Stage, script: impl AsyncFnOnce(Client)) -> io::Result<()> {
    talk_with(stage, Echo, script)
}

fn talk_with(
    stage: &Stage,
    dialogue: impl Dialogue<Packet = String>,
    script: impl AsyncFnOnce(Client),
) -> io::Result<()> {
    let mut result = Ok(());
    play(async {
        let (server, client) = pair();
        let guest = stage.guest();
        let conversation = async {
            guest.settle().await;
            let codec = Lines { beat: None };
            converse(&stage.host, guest, server, codec, dialogue, Opening::default()).await
        };
        result = zip(conversation, script(client)).await.0;
    });
    result
}

#[test]
fn packets_are_answered_in_order_whole_or_in_pieces() {
    let stage = Stage::new(PATIENT);
    for step in [1, 3, 100] {
        talk(&stage, async |mut client| {
            for piece in b"one\ntwo\nthree\nbye\nignored".chunks(step) {
                client.write_all(piece).await.unwrap();
            }
            assert_eq!(rest(&mut client).await, "one\ntwo\nthree\nDone\n");
        })
        .unwrap();
    }
}

#[test]
fn mail_is_told_in_order_with_the_answer() {
    let stage = Stage::new(PATIENT);
    let (id, seat) = stage.session(1);
    talk(&stage, async |mut client| {
        client_attached(&stage, &mut client, 1, &seat).await;
        client.write_all(b"use 1\n").await.unwrap();
        let question = stage.question().await;
        assert_eq!(question.ask.who, Some(id));
        post(&seat, 9, "later");
        // Only what was known when the answer was made is told before it.
        post(&seat, 6, "unreached");
        post(&seat, 3, "unreached");
        question.answer(Ok(Reply::Done), Some((id, seat.clone())), 7).await;
        expect(&mut client, "ok\n1 later\n1 unreached\n1 unreached\n").await;
        client.write_all(b"use 1\n").await.unwrap();
        let question = stage.question().await;
        post(&seat, 10, "before");
        post(&seat, 11, "same order is after");
        post(&seat, 12, "after");
        question.answer(Ok(Reply::Done), Some((id, seat.clone())), 11).await;
        expect(&mut client, "1 before\nok\n1 same order is after\n1 after\n").await;
        post(&seat, 13, "alone");
        expect(&mut client, "1 alone\n").await;
    })
    .unwrap();
}

async fn client_attached(
    stage: &Stage,
    client: &mut Client,
    number: u8,
    seat: &std::sync::Arc<crate::engine::Seat>,
) {
    client.write_all(format!("use {number}\n").as_bytes()).await.unwrap();
    let question = stage.question().await;
    question.answer(Ok(Reply::Done), Some((session_id(number), seat.clone())), 1).await;
    expect(client, "ok\n").await;
}

#[test]
fn what_waited_for_a_session_follows_the_answer_that_attaches_it() {
    let stage = Stage::new(PATIENT);
    let (id, seat) = stage.session(1);
    post(&seat, 2, "old");
    talk(&stage, async |mut client| {
        client.write_all(b"use 1\n").await.unwrap();
        stage.question().await.answer(Ok(Reply::Done), Some((id, seat.clone())), 50).await;
        expect(&mut client, "ok\n1 old\n").await;
    })
    .unwrap();
}

#[test]
fn answers_that_are_there_do_not_wait_for_the_next_question() {
    let stage = Stage::new(PATIENT);
    let (id, seat) = stage.session(1);
    talk(&stage, async |mut client| {
        client.write_all(b"hello\nuse 1\n").await.unwrap();
        expect(&mut client, "hello\n").await;
        stage.question().await.answer(Ok(Reply::Done), Some((id, seat.clone())), 1).await;
        expect(&mut client, "ok\n").await;
    })
    .unwrap();
}

#[test]
fn a_session_that_moved_away_is_silent_until_it_is_used_again() {
    let stage = Stage::new(PATIENT);
    let (_, seat) = stage.session(1);
    talk(&stage, async |mut client| {
        client_attached(&stage, &mut client, 1, &seat).await;
        let elsewhere = crate::engine::Holder::new();
        seat.hold(elsewhere, std::task::Waker::noop());
        post(&seat, 5, "there");
        client.write_all(b"still here\n").await.unwrap();
        expect(&mut client, "still here\n").await;
        client_attached(&stage, &mut client, 1, &seat).await;
        expect(&mut client, "1 there\n").await;
        assert!(matches!(seat.take(elsewhere), Some(Mail::Moved)));
        // A session that is over is silent, too, and what it holds besides goes on.
        let (_, other) = stage.session(2);
        client_attached(&stage, &mut client, 2, &other).await;
        seat.end();
        post(&other, 6, "two");
        expect(&mut client, "2 two\n").await;
    })
    .unwrap();
    assert!(matches!(seat.take(crate::engine::Holder::new()), Some(Mail::Ended)));
}

#[test]
fn what_was_lost_is_told_once_with_its_end() {
    let mut stage = Stage::new(PATIENT);
    let (_, seat) = stage.session(1);
    talk(&stage, async |mut client| {
        client_attached(&stage, &mut client, 1, &seat).await;
        overflow(&seat);
        expect(&mut client, "1 resync 40\n").await;
        // The stage's resync covers everything up to 100.
        post(&seat, 101, "new");
        expect(&mut client, "1 new\n").await;
    })
    .unwrap();
    // Without an end there is no resync; the connection ends instead.
    stage.forget_newest();
    talk(&stage, async |mut client| {
        client_attached(&stage, &mut client, 1, &seat).await;
        overflow(&seat);
        assert_eq!(rest(&mut client).await, "GivenUp\n");
    })
    .unwrap();
}

#[test]
fn the_65th_session_is_refused_and_a_login_is_not_even_tried() {
    let stage = Stage::new(PATIENT);
    let seats: Vec<_> = (0..=65).map(|n| stage.session(n).1).collect();
    talk(&stage, async |mut client| {
        for number in 0..64 {
            client_attached(&stage, &mut client, number, &seats[usize::from(number)]).await;
        }
        client.write_all(b"use 64\nlogin\n").await.unwrap();
        expect(&mut client, "TooManySessions\nTooManySessions\n").await;
        assert!(stage.is_asked_nothing());
        // A known one goes on; one that nobody knows is unknown, not too many.
        client_attached(&stage, &mut client, 7, &seats[7]).await;
        client.write_all(b"use 200\n").await.unwrap();
        let question = stage.question().await;
        question.answer(Err(Refusal::UnknownSession), None, 1).await;
        expect(&mut client, "UnknownSession\n").await;
        // There is room again once one has gone elsewhere.
        seats[3].hold(crate::engine::Holder::new(), std::task::Waker::noop());
        client_attached(&stage, &mut client, 65, &seats[65]).await;
    })
    .unwrap();
}

#[test]
fn what_came_before_malformed_bytes_is_answered_before_the_error() {
    let stage = Stage::new(PATIENT);
    let (id, seat) = stage.session(1);
    talk(&stage, async |mut client| {
        client.write_all(b"use 1\nbad\nunread unread unread\n").await.unwrap();
        stage.question().await.answer(Ok(Reply::Done), Some((id, seat.clone())), 1).await;
        assert_eq!(rest(&mut client).await, "ok\nerror\nMalformed\n");
    })
    .unwrap();
}

#[test]
fn an_unfinished_packet_and_a_nameless_connection_are_not_waited_for_long() {
    let stage = Stage::new(Patience { unfinished: SHORT, ..PATIENT });
    let (_, seat) = stage.session(1);
    talk(&stage, async |mut client| {
        client_attached(&stage, &mut client, 1, &seat).await;
        client.write_all(b"never fini").await.unwrap();
        assert_eq!(rest(&mut client).await, "GivenUp\n");
    })
    .unwrap();
    let stage = Stage::new(Patience { nameless: SHORT, ..PATIENT });
    talk(&stage, async |mut client| {
        client.write_all(b"hello\n").await.unwrap();
        assert_eq!(rest(&mut client).await, "hello\nGivenUp\n");
    })
    .unwrap();
    // One that has a session may be silent for as long as it likes.
    talk(&stage, async |mut client| {
        client_attached(&stage, &mut client, 1, &seat).await;
        smol::Timer::after(2 * SHORT).await;
        client.write_all(b"still here\n").await.unwrap();
        expect(&mut client, "still here\n").await;
    })
    .unwrap();
}

#[test]
fn a_peer_that_reads_nothing_is_given_up_and_its_mail_stays() {
    let stage = Stage::new(Patience { stuck: SHORT, ..PATIENT });
    let (_, seat) = stage.session(1);
    let end = talk(&stage, async |mut client| {
        client_attached(&stage, &mut client, 1, &seat).await;
        let line = format!("{}\n", "x".repeat(50_000));
        // The other side closes it, or this goes on until the test fails.
        while client.write_all(line.as_bytes()).await.is_ok() {}
        post(&seat, 5, "kept");
    });
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::TimedOut);
    let next = crate::engine::Holder::new();
    seat.hold(next, std::task::Waker::noop());
    assert!(matches!(seat.take(next), Some(Mail::Event { order: 5, .. })));
}

#[test]
fn without_memory_for_what_is_half_read_or_half_written_a_connection_ends() {
    let mut stage = Stage::new(PATIENT);
    stage.leave_memory(20_000);
    talk(&stage, async |mut client| {
        client.write_all(&[b'x'; 15_000]).await.unwrap();
        assert_eq!(rest(&mut client).await, "GivenUp\n");
    })
    .unwrap();
    // Somebody who reads gets long answers all the same.
    talk(&stage, async |mut client| {
        for _ in 0..10 {
            client.write_all(b"long\n").await.unwrap();
            expect(&mut client, &format!("{}\n", "x".repeat(30_000))).await;
        }
    })
    .unwrap();
    let end = talk(&stage, async |mut client| while client.write_all(b"long\n").await.is_ok() {});
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::OutOfMemory);
    // What was taken was given back.
    assert!(stage.host.buffers.take(20_000));
}

#[test]
fn whoever_has_to_leave_hears_the_answer_under_way_first() {
    let stage = Stage::new(PATIENT);
    let (id, seat) = stage.session(1);
    talk(&stage, async |mut client| {
        client.write_all(b"use 1\nnever heard\n").await.unwrap();
        let question = stage.question().await;
        stage.guests.send_away();
        question.answer(Ok(Reply::Done), Some((id, seat.clone())), 1).await;
        assert_eq!(rest(&mut client).await, "ok\nGoingAway\n");
    })
    .unwrap();
    assert!(stage.guests.wait_empty(Duration::ZERO));
}

#[test]
fn a_packet_may_ask_several_questions_and_nothing_comes_in_between() {
    let stage = Stage::new(PATIENT);
    let (id, seat) = stage.session(1);
    talk_with(&stage, Steps::default(), async |mut client| {
        expect(&mut client, "hello\n").await;
        client.write_all(b"3\n0\n2!\nunread\n").await.unwrap();
        stage.question().await.answer(Ok(Reply::Done), Some((id, seat.clone())), 1).await;
        // What happens between two answers is told between them.
        let question = stage.question().await;
        expect(&mut client, "ok\n").await;
        post(&seat, 2, "between");
        question.answer(Err(Refusal::Unavailable), None, 3).await;
        stage.question().await.answer(Ok(Reply::Done), None, 4).await;
        expect(&mut client, "1 between\nrefused\nok\ndone\ndone\n").await;
        for order in [5, 6] {
            stage.question().await.answer(Ok(Reply::Done), None, order).await;
        }
        assert_eq!(rest(&mut client).await, "ok\nok\nbye Done\nDone\n");
    })
    .unwrap();
    assert!(stage.is_asked_nothing());
}

/// Has much to say by itself once it is asked to.
#[derive(Default)]
struct Eager {
    left: u32,
}

impl Dialogue for Eager {
    type Packet = String;

    fn on_packet(&mut self, packet: String, out: &mut Vec<String>) -> Next {
        match packet.parse() {
            Ok(left) => self.left = left,
            Err(_) if packet == "bye" => return Next::HangUp(Farewell::Done),
            Err(_) => out.push(packet),
        }
        Next::Listen
    }

    fn on_reply(&mut self, _: Result<Reply, Refusal>, out: &mut Vec<String>) -> Next {
        out.push(format!("piece {}", self.left));
        self.left -= 1;
        Next::Listen
    }

    fn on_told(&mut self, who: &SessionId, layer: u32, told: &Told<'_>, out: &mut Vec<String>) {
        Echo.on_told(who, layer, told, out);
    }

    fn is_idle(&self) -> bool {
        self.left == 0
    }

    fn on_idle(&mut self, _: &mut Vec<String>) -> Next {
        let who = Some(session_id(1));
        let habit = Habit::default();
        Next::Ask(Ask { who, session_required: true, layer: 3, habit, what: Ok(What::Attach) })
    }
}

#[test]
fn what_a_dialogue_does_by_itself_keeps_nothing_else_waiting() {
    let stage = Stage::new(PATIENT);
    let (id, seat) = stage.session(1);
    talk_with(&stage, Eager::default(), async |mut client| {
        client.write_all(b"3\n").await.unwrap();
        stage.question().await.answer(Ok(Reply::Done), Some((id, seat.clone())), 1).await;
        expect(&mut client, "piece 3\n").await;
        // It waits for its answer now, and what comes meanwhile is next.
        let question = stage.question().await;
        client.write_all(b"said in between\n").await.unwrap();
        post(&seat, 2, "told in between");
        question.answer(Ok(Reply::Done), None, 3).await;
        expect(&mut client, "1 told in between\npiece 2\n").await;
        // What was said is read at the latest while it waits again.
        let question = stage.question().await;
        client.write_all(b"bye\n").await.unwrap();
        question.answer(Ok(Reply::Done), None, 4).await;
        let rest = rest(&mut client).await;
        assert!(rest.contains("piece 1\n") && rest.contains("said in between\n"), "{rest}");
        assert!(rest.ends_with("Done\n"), "{rest}");
    })
    .unwrap();
    assert!(stage.is_asked_nothing());
}

#[test]
fn a_dialogue_has_the_first_word_and_the_last() {
    let stage = Stage::new(PATIENT);
    talk_with(&stage, Steps::default(), async |mut client| {
        client.write_all(b"0\nbad\n").await.unwrap();
        assert_eq!(rest(&mut client).await, "hello\ndone\nerror\nbye Malformed\nMalformed\n");
    })
    .unwrap();
    talk_with(&stage, Steps::default(), async |mut client| {
        expect(&mut client, "hello\n").await;
        stage.guests.send_away();
        assert_eq!(rest(&mut client).await, "bye GoingAway\nGoingAway\n");
    })
    .unwrap();
}

#[test]
fn an_idle_connection_is_woken_to_leave() {
    let stage = Stage::new(PATIENT);
    let (_, seat) = stage.session(1);
    talk(&stage, async |mut client| {
        client_attached(&stage, &mut client, 1, &seat).await;
        stage.guests.send_away();
        assert_eq!(rest(&mut client).await, "GoingAway\n");
    })
    .unwrap();
}

#[test]
fn a_codec_with_a_heartbeat_is_heard() {
    let stage = Stage::new(PATIENT);
    play(async {
        let (server, mut client) = pair();
        let guest = stage.guest();
        let codec = Lines { beat: Some(0) };
        let talk = converse(&stage.host, guest, server, codec, Echo, Opening::default());
        let script = async {
            expect(&mut client, "beat\n").await;
            client.write_all(b"bye\n").await.unwrap();
            assert_eq!(rest(&mut client).await, "Done\n");
            drop(client);
        };
        zip(talk, script).await.0.unwrap();
    });
}

#[test]
fn a_connection_for_one_session_hears_of_it_without_asking() {
    let stage = Stage::new(PATIENT);
    let (id, seat) = stage.session(1);
    post(&seat, 5, "waiting");
    play(async {
        let (server, mut client) = pair();
        let guest = stage.guest();
        let mut input = Buffer::default();
        input.extend(b"early\n");
        let opening = Opening { input, session: Some((id, 2)) };
        let talk = converse(&stage.host, guest, server, Lines { beat: None }, Echo, opening);
        let script = async {
            expect(&mut client, "early\n1 waiting\n").await;
            assert_eq!(seat.layer(), 2);
            drop(client);
        };
        zip(talk, script).await.0.unwrap();
    });
}

#[test]
fn a_conversation_is_small() {
    use crate::net::stream::{Plain, Stream};
    use crate::wire::msim2;
    let stage = Stage::new(PATIENT);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let stream = Stream::Plain(Plain::new(smol::Async::new(socket).unwrap()));
    let guest = stage.guest();
    let dialogue = msim2::Dialogue::new(stage.host.house(), msim2::Carrier::Tcp);
    let codec = msim2::tcp::Codec::new(65_536);
    let talk = converse(&stage.host, guest, stream, codec, dialogue, Opening::default());
    let size = std::mem::size_of_val(&talk);
    // With the socket, the seat and the allocator's share this is what an idle connection costs.
    assert!(size <= 224, "{size} bytes");
}
