//! Contacts.

use super::*;

#[test]
fn contacts_are_named_by_id_or_contact_id() {
    let who = |body: &str| match ask("CONTACTS-DELETE", body).what {
        Ok(What::Command(Command::RemoveContact { who })) => who.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(who(r#"{"id":"Bob"}"#), "bob@im.test");
    assert_eq!(who(r#"{"contact_id":"bob&IM.TEST"}"#), "bob@im.test");
    assert_eq!(who(r#"{"id":"bob","contact_id":"bob@im.test"}"#), "bob@im.test");
    for kind in ["CONTACTS-DELETE", "CONTACTS-ADD", "CONTACTS-CHANGE"] {
        assert_eq!(fault(kind, r#"{"id":"bob","contact_id":"eve"}"#).1, "bad-field");
        assert_eq!(fault(kind, r#"{"id":"b o b"}"#), (400, "bad-field".into(), "id".into()));
        assert_eq!(fault(kind, "{}"), (400, "missing-field".into(), "id".into()));
    }
}

#[test]
fn a_contacts_fields_have_types_and_limits() {
    let body = r#"{"id":"bob","name":"Bob","group":["A","B"],"note":"","dialog":true,"x":1}"#;
    let Ok(What::Command(Command::AddContact(draft))) = ask("CONTACTS-ADD", body).what else {
        panic!("not a contact")
    };
    assert_eq!(draft.name.as_deref(), Some("Bob"));
    assert_eq!(draft.group, Some(vec!["A".into(), "B".into()]));
    assert_eq!((draft.note.as_deref(), draft.dialog), (Some(""), Some(true)));
    let Ok(What::Command(Command::ChangeContact(draft))) =
        ask("CONTACTS-CHANGE", r#"{"id":"bob","name":null}"#).what
    else {
        panic!("not a contact")
    };
    let absent = draft.name.is_none() && draft.group.is_none() && draft.note.is_none();
    assert!(absent && draft.dialog.is_none());
    let long = |field: &str, bytes: usize| {
        fault("CONTACTS-ADD", &json!({"id": "bob", field: "x".repeat(bytes)}).to_string())
    };
    assert_eq!(long("name", 257), (413, "field-too-long".into(), "name".into()));
    assert_eq!(long("note", 1025), (413, "field-too-long".into(), "note".into()));
    for group in [json!(vec!["x"; 9]), json!(["x".repeat(65)])] {
        let body = json!({"id": "bob", "group": group}).to_string();
        assert_eq!(fault("CONTACTS-ADD", &body), (413, "field-too-long".into(), "group".into()));
    }
    for bad in [r#""name":5"#, r#""group":"A""#, r#""group":[1]"#, r#""note":[]"#, r#""dialog":1"#]
    {
        let body = format!(r#"{{"id":"bob",{bad}}}"#);
        assert_eq!(fault("CONTACTS-CHANGE", &body).1, "bad-field", "{bad}");
    }
}

#[test]
fn contacts_come_in_pages() {
    let page = |body: &str| match ask("CONTACTS-GET", body).what {
        Ok(What::Query(Query::Contacts { after, count, unlisted: false })) => {
            (after.map(|a| a.to_string()), count)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(page("{}"), (None, 5000));
    assert_eq!(page(r#"{"count":2,"id_gt":"bob"}"#), (Some("bob@im.test".into()), 2));
    assert_eq!(page(r#"{"count":99999999999}"#).1, 5000);
    assert_eq!(fault("CONTACTS-GET", r#"{"count":0}"#).1, "bad-range");
    assert_eq!(fault("CONTACTS-GET", r#"{"id_gt":"@"}"#).1, "bad-field");
}

#[test]
fn contacts_are_written_as_the_examples_have_them() {
    let contacts = vec![contact_view(Some(968_509_351)), contact_view(None)];
    let reply = Ok(Reply::Contacts { contacts, more: false });
    let (status, body) = answer_at_home("CONTACTS-GET", "", reply);
    assert_eq!(status, 200);
    let first = json!({
        "contact": {
            "id": "alice@dev.test", "contact_id": "alice@dev.test", "name": "Alice",
            "group": ["Friends", "Best friends"], "note": "Vacationing", "dialog": true,
        },
        "last-seen": "2000-09-09T14:22:31+0000",
    });
    let second = json!({"contact": {
        "id": "alice@dev.test", "contact_id": "alice@dev.test", "name": "Alice",
        "group": ["Friends", "Best friends"], "dialog": false,
    }});
    assert_eq!(body, json!({"data": [first, second], "more": false}));
}

#[test]
fn contacts_end_early_too() {
    let mut view = contact_view(Some(1));
    view.note = Some("\u{1}".repeat(1024).into());
    let contacts = vec![view; 500];
    let (_, body) =
        answer_at_home("CONTACTS-GET", "", Ok(Reply::Contacts { contacts, more: false }));
    let kept = body["data"].as_array().expect("data").len();
    assert!(100 < kept && kept < 200, "{kept}");
    assert_eq!(body["more"], json!(true));
}
