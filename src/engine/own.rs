//! What people do with their own accounts beyond saying commands: they prove once more who they are.

use std::net::IpAddr;

use crate::domain::id::{AccountNo, Login};
use crate::domain::words::{Actor, Command, Refusal, Reply};
use crate::engine::turn::Told;
use crate::engine::{Exchange, unreadable};
use crate::store::Look;
use crate::wire::Credentials;

impl Exchange {
    /// Where `old` is given it has to be the account's own password, tried like a login.
    pub(super) async fn change_password(
        &self,
        peer: IpAddr,
        actor: Actor,
        old: Option<Vec<u8>>,
        new: Vec<u8>,
    ) -> Told {
        let refused = |refusal| Told { reply: Err(refusal), seat: None, order: 0 };
        if let Err(refusal) = self.prove_again(peer, actor, old).await {
            return refused(refusal);
        }
        let config = self.core.config();
        match self.core.auth.hash(new, &config).await {
            Ok(verifier) => self.tell(actor, Command::ChangePassword { verifier }).await,
            Err(refusal) => refused(refusal),
        }
    }

    pub(super) async fn change_login(
        &self,
        peer: IpAddr,
        actor: Actor,
        password: Option<Vec<u8>>,
        login: Login,
    ) -> Told {
        match self.prove_again(peer, actor, password).await {
            Ok(()) => self.tell(actor, Command::ChangeLogin { login }).await,
            Err(refusal) => Told { reply: Err(refusal), seat: None, order: 0 },
        }
    }

    /// Whether the one who says it knows the account's password, where one is given.
    async fn prove_again(
        &self,
        peer: IpAddr,
        actor: Actor,
        password: Option<Vec<u8>>,
    ) -> Result<(), Refusal> {
        let Actor::Session { account, .. } = actor else { return Err(Refusal::NoSession) };
        let Some(password) = password else { return Ok(()) };
        let login = self.login_of(account)?;
        let config = self.core.config();
        let credentials = Credentials { login, password };
        let proved = self.core.auth.prove(credentials, peer, &config, &self.core.reader).await;
        proved.map(drop)
    }

    fn login_of(&self, account: AccountNo) -> Result<Option<Login>, Refusal> {
        match self.core.reader.read(|snapshot| snapshot.account(account)) {
            Ok(row) => Ok(row.map(|row| row.address.login)),
            Err(error) => Err(unreadable(&error)),
        }
    }

    pub(super) fn stop(&self, peer: IpAddr, actor: Actor) -> Result<Reply, Refusal> {
        let Actor::Session { account, .. } = actor else { return Err(Refusal::NoSession) };
        let login = self.login_of(account)?;
        let config = self.core.config();
        let may = |login: Login| config.operators.iter().any(|name| *name == login.as_str());
        if !peer.is_loopback() || !login.is_some_and(may) {
            return Err(Refusal::NotAllowed);
        }
        // Once is enough.
        let _ = self.core.stopping.0.try_send(());
        Ok(Reply::Done)
    }
}
