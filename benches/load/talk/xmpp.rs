//! XMPP as RFC 6120 and 6121 have it: PLAIN, one resource, presence; rooms of XEP-0045, history of
//! XEP-0313. Accounts are made in the stream, XEP-0077. A message counts as taken over when its
//! recipient has it: nothing here acknowledges earlier.

use super::{Guest, Heard, PAGE, PASSWORD, Talk, after, find, lossy, xml};
use crate::text::Text;

/// Everybody's server.
const HOST: &str = "localhost";
/// Where its rooms are.
const ROOMS: &str = "conference.localhost";
const OPENING: &str = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' \
    xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
/// Messages a page when much is missing: what both servers give at most where they are let.
const CATCH_UP_PAGE: u32 = 250;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Registering,
    Authenticating,
    Binding,
    Present,
}

#[derive(Debug)]
pub(super) struct Xmpp {
    guest: Guest,
    state: State,
    /// Messages of the page that is being received.
    page: Vec<Text>,
    /// The archive's name of the last of them.
    last: Option<String>,
}

impl Xmpp {
    pub(super) fn new(guest: Guest) -> Xmpp {
        let state = if guest.is_new { State::Registering } else { State::Authenticating };
        Xmpp { guest, state, page: Vec::new(), last: None }
    }

    /// The server offers what may be done next.
    fn on_features(&self, out: &mut Vec<u8>) -> Heard {
        let login = &self.guest.login;
        let said = match self.state {
            State::Registering => format!(
                "<iq type='set' id='new'><query xmlns='jabber:iq:register'><username>{login}\
                 </username><password>{PASSWORD}</password></query></iq>"
            ),
            State::Authenticating => plain(login),
            State::Binding | State::Present => "<iq type='set' id='bind'><bind \
                 xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>d</resource></bind></iq>"
                .into(),
        };
        out.extend_from_slice(said.as_bytes());
        Heard::Nothing
    }

    fn on_iq(&mut self, stanza: &[u8], out: &mut Vec<u8>) -> Result<Heard, String> {
        let head = &stanza[..find(stanza, ">").unwrap_or(stanza.len())];
        let is_answer_to = |id| attribute(head, "id").is_some_and(|found| found == id);
        if is_answer_to("here") {
            // Answered or refused: either way the presence before it was handled.
            return Ok(Heard::Ready);
        }
        match attribute(head, "type").as_deref() {
            Some("result") => {}
            Some("error") => return Err(lossy(stanza)),
            _ => return Ok(Heard::Nothing),
        }
        if is_answer_to("new") {
            self.state = State::Authenticating;
            out.extend_from_slice(plain(&self.guest.login).as_bytes());
        } else if is_answer_to("bind") {
            self.state = State::Present;
            out.extend_from_slice(
                b"<presence/><iq type='get' id='here'><ping xmlns='urn:xmpp:ping'/></iq>",
            );
        } else if is_answer_to("page") {
            let is_complete = find(stanza, "complete='true'").is_some()
                || find(stanza, "complete=\"true\"").is_some();
            self.last = after(stanza, "<last>").and_then(|rest| {
                Some(String::from_utf8_lossy(&rest[..find(rest, "<")?]).into_owned())
            });
            let texts = std::mem::take(&mut self.page);
            return Ok(Heard::Page { more: !is_complete && !texts.is_empty(), texts });
        }
        Ok(Heard::Nothing)
    }

    fn on_message(&mut self, stanza: &[u8]) -> Result<Heard, String> {
        let head = &stanza[..find(stanza, ">").unwrap_or(stanza.len())];
        let kind = attribute(head, "type");
        if kind.as_deref() == Some("error") {
            return Err(lossy(stanza));
        }
        let text = after(stanza, "<body>").and_then(Text::read);
        if find(stanza, "urn:xmpp:mam:2").is_some() && find(stanza, "<result").is_some() {
            self.page.extend(text);
            return Ok(Heard::Nothing);
        }
        Ok(match text {
            Some(text) => Heard::Message(text),
            // The room's subject, the last of what a newcomer is told.
            None if kind.as_deref() == Some("groupchat") && find(stanza, "<subject").is_some() => {
                Heard::Done
            }
            None => Heard::Nothing,
        })
    }

    fn query(filter: &str, set: &str, out: &mut Vec<u8>) {
        let said = format!(
            "<iq type='set' id='page'><query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' \
             type='submit'><field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value>\
             </field>{filter}</x><set xmlns='http://jabber.org/protocol/rsm'>{set}</set></query>\
             </iq>"
        );
        out.extend_from_slice(said.as_bytes());
    }
}

impl Talk for Xmpp {
    fn open(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(OPENING.as_bytes());
    }

    fn hear(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<(usize, Heard)>, String> {
        let Some(length) = xml::cut(input)? else { return Ok(None) };
        let piece = &input[..length];
        let heard = if piece.starts_with(b"<message") {
            self.on_message(piece)?
        } else if piece.starts_with(b"<iq") {
            self.on_iq(piece, out)?
        } else if piece.starts_with(b"<stream:features") {
            self.on_features(out)
        } else if piece.starts_with(b"<success") {
            self.state = State::Binding;
            out.extend_from_slice(OPENING.as_bytes());
            Heard::Nothing
        } else if is_harmless(piece) {
            Heard::Nothing
        } else {
            return Err(lossy(piece));
        };
        Ok(Some((length, heard)))
    }

    fn say(&mut self, to: &str, text: Text, out: &mut Vec<u8>) {
        let (id, text) = (text.stamp, text.write());
        let said = format!(
            "<message to='{to}@{HOST}' type='chat' id='{id:x}'><body>{text}</body></message>"
        );
        out.extend_from_slice(said.as_bytes());
    }

    fn enter(&mut self, room: &str, out: &mut Vec<u8>) -> bool {
        let nick = &self.guest.login;
        let said = format!(
            "<presence to='{room}@{ROOMS}/{nick}'><x xmlns='http://jabber.org/protocol/muc'>\
             <history maxstanzas='0'/></x></presence>"
        );
        out.extend_from_slice(said.as_bytes());
        true
    }

    fn tell(&mut self, room: &str, text: Text, out: &mut Vec<u8>) {
        let (id, text) = (text.stamp, text.write());
        let said = format!(
            "<message to='{room}@{ROOMS}' type='groupchat' id='{id:x}'><body>{text}</body>\
             </message>"
        );
        out.extend_from_slice(said.as_bytes());
    }

    fn look_back(&mut self, with: &str, out: &mut Vec<u8>) {
        let filter = format!("<field var='with'><value>{with}@{HOST}</value></field>");
        Xmpp::query(&filter, &format!("<max>{PAGE}</max><before/>"), out);
    }

    fn catch_up(&mut self, out: &mut Vec<u8>) {
        let after = match &self.last {
            Some(last) => format!("<after>{last}</after>"),
            None => String::new(),
        };
        Xmpp::query("", &format!("<max>{CATCH_UP_PAGE}</max>{after}"), out);
    }
}

/// What is said and needs nothing: who is here, the stream's own tags, white space.
fn is_harmless(piece: &[u8]) -> bool {
    match piece.starts_with(b"<presence") {
        true => find(piece, "type='error'").is_none(),
        false => {
            piece.starts_with(b"<?xml")
                || piece.starts_with(b"<stream:stream")
                || piece.trim_ascii().is_empty()
        }
    }
}

fn plain(login: &str) -> String {
    use base64::Engine;
    let words = format!("\0{login}\0{PASSWORD}");
    let words = base64::engine::general_purpose::STANDARD.encode(words);
    format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{words}</auth>")
}

/// The value of an attribute of a tag.
fn attribute(tag: &[u8], name: &str) -> Option<String> {
    let rest = after(tag, &format!(" {name}="))?;
    let (quote, rest) = rest.split_first()?;
    let end = rest.iter().position(|byte| byte == quote)?;
    Some(String::from_utf8_lossy(&rest[..end]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{guest, hear_all};
    use super::*;

    #[test]
    fn a_stranger_registers_logs_in_and_hears() {
        let text = Text { stamp: 77, lane: 5 };
        let said = format!(
            "<?xml version='1.0'?><stream:stream id='1'><stream:features><a/></stream:features>\
             <iq type='result' id='new'/><success xmlns='x'/><stream:stream id='2'>\
             <stream:features><bind/></stream:features><iq id='bind' type='result'><bind/></iq>\
             <presence from='bob@localhost/d'/><iq type='error' id='here'/>\
             <message type='chat' from='alice@localhost/d'><body>{}</body></message>\
             <message type='groupchat' from='r@conference.localhost'><subject/></message>",
            text.write()
        );
        let make =
            || -> Box<dyn Talk> { Box::new(Xmpp::new(Guest { is_new: true, ..guest("bob") })) };
        let (heard, out) = hear_all(make, said.as_bytes());
        assert_eq!(heard, [Heard::Ready, Heard::Message(text), Heard::Done]);
        assert!(out.contains("<username>bob</username>"), "{out}");
        assert!(out.contains(">AGJvYgBiZW5jaG1hcms=</auth>"), "{out}");
        assert_eq!(out.matches("<stream:stream").count(), 2, "{out}");
    }

    #[test]
    fn a_page_is_counted_and_names_what_follows_it() {
        let texts = [Text { stamp: 1, lane: 0 }, Text { stamp: 2, lane: 0 }];
        let one = |text: &Text| {
            format!(
                "<message to='bob@localhost/d'><result id='a{0}' xmlns='urn:xmpp:mam:2'><forwarded \
                 xmlns='urn:xmpp:forward:0'><message><body>{1}</body></message></forwarded>\
                 </result></message>",
                text.stamp,
                text.write()
            )
        };
        let said = format!(
            "{}{}<iq type='result' id='page'><fin xmlns='urn:xmpp:mam:2'><set><last>a2</last></set>\
             </fin></iq>",
            one(&texts[0]),
            one(&texts[1])
        );
        let make = || -> Box<dyn Talk> { Box::new(Xmpp::new(guest("bob"))) };
        let (heard, _) = hear_all(make, said.as_bytes());
        assert_eq!(heard, [Heard::Page { texts: texts.to_vec(), more: true }]);

        let mut xmpp = Xmpp::new(guest("bob"));
        let mut rest = said.as_bytes();
        while let Some((taken, _)) = xmpp.hear(rest, &mut Vec::new()).unwrap() {
            rest = &rest[taken..];
        }
        let mut out = Vec::new();
        xmpp.catch_up(&mut out);
        assert!(find(&out, "<after>a2</after>").is_some());
    }

    #[test]
    fn refusals_are_errors_in_the_servers_words() {
        for said in [
            "<failure xmlns='x'><not-authorized/></failure>",
            "<stream:error><conflict/></stream:error>",
            "</stream:stream>",
            "<message type='error'><body>x</body></message>",
            "<iq type='error' id='bind'><conflict/></iq>",
        ] {
            let mut xmpp = Xmpp::new(guest("bob"));
            assert!(xmpp.hear(said.as_bytes(), &mut Vec::new()).is_err(), "{said}");
        }
    }
}
