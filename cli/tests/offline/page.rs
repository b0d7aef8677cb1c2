//! The page of `connectivity -o html` in a real browser.

// The helper is no test, though only tests call it.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use crate::run::bulkhead;

/// The page as a browser has it after its scripts ran.
fn shown(page: &std::path::Path, hash: &str) -> String {
    let browser = std::env::var("BULKHEAD_TEST_BROWSER").unwrap_or_else(|_| "chromium".to_owned());
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--virtual-time-budget=4000",
            "--dump-dom",
        ])
        .arg(format!("file://{}{hash}", page.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
#[ignore = "needs a browser: hack/test page runs it"]
fn the_page_shows_searches_and_draws_in_a_real_browser() {
    let html = bulkhead("connectivity -f shop -o html").exits(0).out;
    let page = std::env::temp_dir().join(format!("bulkhead-page-{}.html", std::process::id()));
    std::fs::write(&page, html).unwrap();
    let all = shown(&page, "");
    let searched = shown(&page, "#from=shop/deployment/web&ports=tcp/8443");
    std::fs::remove_file(&page).unwrap();
    assert!(all.contains(">8 sources, 8 destinations</p>"), "{all}");
    assert!(all.contains("<td class=\"yes\" title=\"shop/deployment/api -&gt; shop/statefulset/db: TCP/5432\">TCP/5432</td>"), "{all}");
    assert_eq!(
        all.matches("<circle").count(),
        4,
        "host, outside, shop, tenant: {all}"
    );
    assert!(
        all.contains("<title>tenant -&gt; shop: all ports</title>"),
        "{all}"
    );
    assert!(searched.contains(">1 sources, 1 destinations</p>"), "{searched}");
    assert!(
        searched.contains("<tr><th>shop/deployment/web</th><td class=\"part\""),
        "{searched}"
    );
    assert!(!searched.contains("<th>shop/statefulset/db</th>"), "{searched}");
}
