//! The doors as addresses that people can be given: `msim-tcp://host:port?end-cert=PIN`.
//!
//! The pin is all that a client needs to know the server by: no domain, no certificate authority.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use serde_json::{Value, json};

use crate::server::Doors;

/// One for each door that a client program is told of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    pub tcp: Option<String>,
    pub http: Option<String>,
}

impl Addresses {
    pub fn of(doors: &Doors, server_name: &str) -> Addresses {
        let pin = doors.pin.as_deref();
        let at = |door| shown(door, server_name);
        Addresses {
            tcp: doors.tcp.map(|door| match pin {
                Some(pin) => format!("msim-tcp://{}?end-cert={pin}", at(door)),
                None => format!("msim-tcp://{}", at(door)),
            }),
            http: doors.http.map(|door| match pin {
                Some(pin) => format!("msim-http://{}/?end-cert={pin}", at(door)),
                None => format!("msim-http-insecure://{}/", at(door)),
            }),
        }
    }

    /// The same with an invitation's code in them.
    #[must_use]
    pub fn inviting(self, code: &str) -> Addresses {
        let with = |address: String| {
            let mark = if address.contains('?') { '&' } else { '?' };
            format!("{address}{mark}invite={code}")
        };
        Addresses { tcp: self.tcp.map(with), http: self.http.map(with) }
    }

    /// The one to show where there is room for one: most programs can go by HTTP.
    pub fn first(&self) -> Option<&str> {
        self.http.as_deref().or(self.tcp.as_deref())
    }

    pub fn json(&self) -> Value {
        json!({ "tcp": self.tcp, "http": self.http })
    }
}

/// Host and port as others can use them. Every address of the machine is shown as the server's
/// name; where that is no name beyond this machine, as the address that the machine has in its
/// network.
pub fn shown(door: SocketAddr, server_name: &str) -> String {
    if !door.ip().is_unspecified() {
        return door.to_string();
    }
    let port = door.port();
    if is_inside(server_name)
        && let Some(address) = own_address()
    {
        return SocketAddr::new(address, port).to_string();
    }
    format!("{server_name}:{port}")
}

fn is_inside(name: &str) -> bool {
    let bare = name.trim_matches(['[', ']']);
    name == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// From where this machine would speak to others. Connecting a UDP socket sends nothing; it asks
/// the kernel for the way, and both targets are addresses for documentation (RFC 5737, RFC 3849).
fn own_address() -> Option<IpAddr> {
    let ways = [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")];
    ways.iter().find_map(|(here, there)| {
        let socket = UdpSocket::bind(here).ok()?;
        socket.connect(there).ok()?;
        let address = socket.local_addr().ok()?.ip();
        (!address.is_unspecified() && !address.is_loopback()).then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doors(tcp: &str, http: &str, pin: Option<&str>) -> Doors {
        Doors {
            tcp: tcp.parse().ok(),
            http: http.parse().ok(),
            pin: pin.map(str::to_owned),
            ..Doors::default()
        }
    }

    fn check(doors: &Doors, name: &str, tcp: Option<&str>, http: Option<&str>) -> Addresses {
        let found = Addresses::of(doors, name);
        assert_eq!((found.tcp.as_deref(), found.http.as_deref()), (tcp, http));
        found
    }

    #[test]
    fn addresses_carry_the_pin_and_the_invitation() {
        let found = check(
            &doors("0.0.0.0:3217", "[::]:3218", Some("abc=")),
            "im.test",
            Some("msim-tcp://im.test:3217?end-cert=abc="),
            Some("msim-http://im.test:3218/?end-cert=abc="),
        );
        let found = found.inviting("k7wq-3mxp");
        assert_eq!(found.first(), Some("msim-http://im.test:3218/?end-cert=abc=&invite=k7wq-3mxp"));
        let found = check(
            &doors("127.0.0.1:3217", "127.0.0.1:3218", None),
            "localhost",
            Some("msim-tcp://127.0.0.1:3217"),
            Some("msim-http-insecure://127.0.0.1:3218/"),
        );
        let found = found.inviting("k7wq");
        assert_eq!(found.tcp.as_deref(), Some("msim-tcp://127.0.0.1:3217?invite=k7wq"));
        check(&doors("", "", None), "im.test", None, None);
    }

    #[test]
    fn nobody_is_sent_to_their_own_localhost() {
        let everywhere = "0.0.0.0:3217".parse().unwrap();
        for name in ["localhost", "127.0.0.1", "[::1]"] {
            let text = shown(everywhere, name);
            // A machine without a network has nothing better.
            assert!(own_address().is_none() || !text.starts_with(name), "{text}");
            assert!(text.ends_with(":3217"), "{text}");
        }
        assert_eq!(shown(everywhere, "192.168.1.2"), "192.168.1.2:3217");
    }
}
