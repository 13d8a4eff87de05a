// Users: what each may do, how rules are kept, what becomes of clients whose user changes. One node
// and a few clients in virtual time.
#include "base/mem.h"
#include "node/acl.h"

enum { CLIENTS = 2 };
#include "node_rig.h"

#include <unistd.h>

static void start(const char *directive, const char *value)
{
    struct config config;
    struct error error = ERROR_OK;
    node_rig_config(&config);
    struct bytes word = value != NULL ? bytes_from_cstr(value) : (struct bytes){0};
    if (directive != NULL)
        cr_assert(config_set_initial(&config, bytes_from_cstr(directive), 1, &word, &error));
    node_rig_new(&config);
    node_rig_start();
}

static void begin(void)
{
    start(NULL, NULL);
}

TestSuite(acl, .init = begin, .fini = node_rig_end);

static void gone(int i)
{
    sim_run_for(sim, 10000);
    cr_assert_eq(client[i]->closes, 1, "client %d is still there", i);
}

// ---- rules --------------------------------------------------------------------------------------

// What a user is after these rules, without its name.
static void becomes(const char *rules, const char *text)
{
    struct bytes words[16];
    int count = 0;
    for (const char *word = rules; *word != '\0' && count < 16;) {
        size_t len = strcspn(word, " ");
        words[count++] = bytes_of(word, len);
        word += len + (word[len] == ' ');
    }
    struct str *rule;
    enum acl_error why;
    int failed;
    acl_delete_user(node, BYTES("u"));
    cr_assert(acl_set_user(node, BYTES("u"), count, words, &failed, &rule, &why), "%s: %s", rules,
              rule ? rule->data : "parenthesis");
    struct buf is = BUF_EMPTY;
    acl_user_describe(acl_find(node, BYTES("u")), &is);
    buf_append_byte(&is, '\0');
    cr_assert_str_eq(buf_view(&is).data, text, "%s", rules);
    buf_free(&is);
}

Test(acl, rules_are_kept_without_those_that_say_nothing_any_more)
{
    becomes("", "off resetchannels -@all");
    becomes("on nopass ~* &* +@all", "on nopass ~* &* +@all");
    becomes("+get +@read", "off resetchannels -@all +@read");
    becomes("+@read +get", "off resetchannels -@all +@read");
    becomes("+@read -get", "off resetchannels -@all +@read -get");
    becomes("+@all -get +@all", "off resetchannels +@all");
    becomes("+@all -client +client|id", "off resetchannels +@all -client +client|id");
    becomes("+@all -client +client|id -client", "off resetchannels +@all -client");
    becomes("+memory|doctor +memory", "off resetchannels -@all +memory");
    becomes("+select|0 +select|1", "off resetchannels -@all +select|0 +select|1");
    becomes("+select|0 +select", "off resetchannels -@all +select");
    becomes("+select|0 -select", "off resetchannels -@all");
    becomes("+get -get", "off resetchannels -@all");
    // A command of Redis that is not here; a category without commands.
    becomes("+module|load +get", "off resetchannels -@all +module|load +get");
    becomes("%R~a %W~a %RW~b %R~c", "off ~a ~b %R~c resetchannels -@all");
    becomes("~a allkeys", "off ~* resetchannels -@all");
    becomes("~a (%W~b +set) ~c (+get)", "off ~a ~c resetchannels -@all (%W~b resetchannels -@all "
                                        "+set) (resetchannels -@all +get)");
    becomes("(+get) clearselectors", "off resetchannels -@all");
    becomes("on +get reset", "off sanitize-payload resetchannels -@all");
}

Test(acl, all_rules_or_none)
{
    run(0, "ACL SETUSER u on +get", "+OK\r\n");
    run(0, "ACL SETUSER u off +set +nosuch",
        "-ERR Error in ACL SETUSER modifier '+nosuch': Unknown command or category name in "
        "ACL\r\n");
    run(0, "ACL SETUSER v (+get",
        "-ERR Unmatched parenthesis in acl selector starting at '(+get'.\r\n");
    run(0, "ACL LIST",
        "*2\r\n$34\r\nuser default on nopass ~* &* +@all\r\n"
        "$34\r\nuser u on resetchannels -@all +get\r\n");
}

// ---- checks -------------------------------------------------------------------------------------

#define NO_KEY                                                                                     \
    "-NOPERM this user has no permissions to access one of the keys used as arguments\r\n"

Test(acl, what_is_not_allowed_is_refused)
{
    run(0, "ACL SETUSER u on >p +@all -config|set -get +multi ~a* %R~r* %W~w* &c*", "+OK\r\n");
    run(1, "AUTH u wrong", "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    run(1, "AUTH u p", "+OK\r\n");
    run(1, "ACL WHOAMI", "$1\r\nu\r\n");
    run(1, "GET a", "-NOPERM this user has no permissions to run the 'get' command\r\n");
    run(1, "CONFIG SET hz 10",
        "-NOPERM this user has no permissions to run the 'config|set' command\r\n");
    run(1, "SET a1 v", "+OK\r\n");
    run(1, "SET b v", NO_KEY);
    run(1, "SET r v", NO_KEY);
    run(1, "SET w v", "+OK\r\n");
    run(1, "SET w v GET", NO_KEY);
    run(1, "COPY r w", ":0\r\n");
    run(1, "COPY w r", NO_KEY);
    run(1, "STRLEN w", ":1\r\n");
    run(1, "STRLEN x", NO_KEY);
    run(1, "PUBLISH ch m", ":0\r\n");
    run(1, "PUBLISH other m",
        "-NOPERM this user has no permissions to access one of the channels used as "
        "arguments\r\n");
    run(1, "SORT a1 BY x*",
        "-ERR BY option of SORT denied due to insufficient ACL permissions.\r\n");
}

Test(acl, a_queued_command_is_looked_at_again)
{
    run(0, "ACL SETUSER u on nopass +@all ~*", "+OK\r\n");
    run(1, "AUTH u x", "+OK\r\n");
    run(1, "MULTI", "+OK\r\n");
    run(1, "INCR n", "+QUEUED\r\n");
    run(1, "INCR m", "+QUEUED\r\n");
    run(0, "ACL SETUSER u resetkeys ~m", "+OK\r\n");
    run(1, "EXEC",
        "*2\r\n-NOPERM ACLs rules changed between the moment the transaction was accumulated and "
        "the EXEC call. This command is no longer allowed for the following reason: no permission "
        "to touch the specified keys\r\n:1\r\n");
    run(0, "EXISTS n", ":0\r\n");
}

Test(acl, a_blocked_command_is_looked_at_again)
{
    run(0, "ACL SETUSER u on nopass +@all ~*", "+OK\r\n");
    run(1, "AUTH u x", "+OK\r\n");
    say(1, "BLPOP list 0");
    sim_run_for(sim, 10000);
    run(0, "ACL SETUSER u -blpop", "+OK\r\n");
    run(0, "RPUSH list one", ":1\r\n");
    cr_assert(peer_expect(
        client[1], "-NOPERM this user has no permissions to run the 'blpop' command\r\n", 5000000));
    run(0, "LLEN list", ":1\r\n");
    run(1, "PING", "+PONG\r\n");
}

// ---- clients ------------------------------------------------------------------------------------

Test(acl, clients_go_with_their_user)
{
    run(0, "ACL SETUSER u on nopass +@all", "+OK\r\n");
    run(1, "AUTH u x", "+OK\r\n");
    run(0, "ACL DELUSER u nosuch", ":1\r\n");
    gone(1);
    run(0, "PING", "+PONG\r\n");
}

Test(acl, who_deletes_itself_without_an_answer_goes_too)
{
    run(0, "ACL SETUSER u on nopass +@all", "+OK\r\n");
    run(1, "AUTH u x", "+OK\r\n");
    say(1, "CLIENT REPLY OFF");
    say(1, "ACL DELUSER u");
    gone(1);
}

// Not even what the user "default" might do.
Test(acl, what_waited_goes_with_its_user)
{
    run(0, "ACL SETUSER u on nopass +@all ~*", "+OK\r\n");
    run(1, "AUTH u x", "+OK\r\n");
    say(1, "BLPOP list 0");
    sim_run_for(sim, 10000);
    say(0, "ACL DELUSER u\r\nRPUSH list one\r\nLLEN list");
    cr_assert(peer_expect(client[0], ":1\r\n:1\r\n:1\r\n", 5000000), "%s", client[0]->why);
    gone(1);
}

Test(acl, who_deletes_itself_is_answered_first)
{
    run(0, "ACL SETUSER u on nopass +@all", "+OK\r\n");
    run(1, "AUTH u x", "+OK\r\n");
    run(1, "ACL DELUSER u", ":1\r\n");
    gone(1);
}

// What is left of the transaction is not run as somebody else.
Test(acl, who_deletes_itself_in_a_transaction_ends_it)
{
    run(0, "ACL SETUSER default resetpass >secret", "+OK\r\n");
    run(0, "ACL SETUSER u on nopass -@all +acl|deluser +multi +exec +set ~*", "+OK\r\n");
    run(1, "AUTH u x", "+OK\r\n");
    run(1, "MULTI", "+OK\r\n");
    run(1, "ACL DELUSER u", "+QUEUED\r\n");
    run(1, "SET k v", "+QUEUED\r\n");
    run(1, "EXEC", "*2\r\n:1\r\n-NOAUTH Authentication required.\r\n");
    gone(1);
    run(0, "EXISTS k", ":0\r\n");
}

Test(acl, subscribers_go_with_their_channel)
{
    run(0, "ACL SETUSER u on nopass +@all &a &b*", "+OK\r\n");
    run(1, "AUTH u x", "+OK\r\n");
    run(1, "SUBSCRIBE b1", "*3\r\n$9\r\nsubscribe\r\n$2\r\nb1\r\n:1\r\n");
    run(0, "ACL SETUSER u resetchannels &b*", "+OK\r\n");
    sim_run_for(sim, 10000);
    cr_assert_eq(client[1]->closes, 0, "what it subscribes to is still allowed");
    run(0, "ACL SETUSER u resetchannels &a", "+OK\r\n");
    gone(1);
}

Test(acl, the_default_user_off_means_that_all_must_authenticate)
{
    run(0, "ACL SETUSER u on nopass +@all", "+OK\r\n");
    run(0, "ACL SETUSER default off", "+OK\r\n");
    struct peer *late = node_rig_connect();
    peer_send_text(late, "PING\r\n");
    cr_assert(peer_expect(late, "-NOAUTH Authentication required.\r\n", 5000000));
    peer_send_text(late, "AUTH u any\r\nPING\r\n");
    cr_assert(peer_expect(late, "+OK\r\n+PONG\r\n", 5000000));
    peer_free(late);
}

Test(acl_config, a_password_may_hold_any_bytes, .fini = node_rig_end)
{
    start("requirepass", "with space");
    run(0, "PING", "-NOAUTH Authentication required.\r\n");
    run(0, "AUTH \"with space\"", "+OK\r\n");
    run(0, "CONFIG SET requirepass \"a\\x00b\"", "+OK\r\n");
    run(1, "AUTH a", "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    run(1, "AUTH \"a\\x00b\"", "+OK\r\n");
    run(1, "CONFIG SET requirepass \"\"", "+OK\r\n");
    run(1, "AUTH a",
        "-ERR AUTH <password> called without any password configured for the default user. Are "
        "you sure your configuration is correct?\r\n");
}

#define NOAUTH "-NOAUTH Authentication required.\r\n"

// As Redis does: without a password everybody may, and nobody who came before is let in for good.
Test(acl, a_password_that_goes_and_comes_back_is_asked_of_who_never_gave_it)
{
    run(0, "CONFIG SET requirepass x", "+OK\r\n");
    run(1, "PING", "+PONG\r\n"); // came when there was none
    struct peer *late = node_rig_connect();
    run_at(late, "PING", NOAUTH);
    run(0, "CONFIG SET requirepass \"\"", "+OK\r\n");
    run_at(late, "PING", "+PONG\r\n");
    run_at(
        late, "HELLO 2",
        "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
        "<proto> AUTH <user> <pass> option can be used to authenticate the client and select the "
        "RESP protocol version at the same time\r\n");
    run(0, "CONFIG SET requirepass y", "+OK\r\n");
    run_at(late, "PING", NOAUTH);
    run(1, "PING", "+PONG\r\n");
    run(1, "RESET", "+RESET\r\n");
    run(1, "PING", NOAUTH);
    peer_free(late);
}

// More than ten arguments are refused to strangers; who is one changes with the default user.
Test(acl, long_requests_of_who_never_gave_a_password)
{
    static const char twelve[] =
        "*12\r\n$3\r\nDEL\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n"
        "$1\r\n5\r\n$1\r\n6\r\n$1\r\n7\r\n$1\r\n8\r\n$1\r\n9\r\n$1\r\na\r\n"
        "$1\r\nb";
    run(0, "CONFIG SET requirepass x", "+OK\r\n");
    struct peer *late = node_rig_connect();
    run_at(late, "PING", NOAUTH);
    run(0, "ACL SETUSER default nopass", "+OK\r\n");
    run_at(late, twelve, ":0\r\n");
    run(0, "ACL SETUSER default off", "+OK\r\n");
    run_at(late, "PING", NOAUTH);
    run(0, "ACL SETUSER default on", "+OK\r\n");
    run_at(late, twelve, ":0\r\n");
    struct buf errors = BUF_EMPTY;
    cr_assert(acl_load_text(node, "f", BYTES("user default on >y ~* &* +@all\n"), &errors));
    run_at(late, twelve, "-ERR Protocol error: unauthenticated multibulk length\r\n");
    peer_free(late);
}

// ---- files --------------------------------------------------------------------------------------

Test(acl, a_file_of_users_counts_whole_or_not_at_all)
{
    struct buf errors = BUF_EMPTY, text = BUF_EMPTY;
    cr_assert(acl_load_text(node, "f", BYTES("user a on nopass +get ~x\n\nuser b off (+set ~y)\n"),
                            &errors));
    acl_save_text(node, &text);
    cr_assert(bytes_equal(buf_view(&text),
                          BYTES("user a on nopass ~x resetchannels -@all +get\n"
                                "user b off resetchannels -@all (~y resetchannels -@all +set)\n"
                                "user default on nopass ~* &* +@all\n")),
              "%.*s", (int)buf_len(&text), buf_view(&text).data);
    cr_assert_not(
        acl_load_text(node, "f", BYTES("user c on\nuser c off\nhuser d\nuser e +nosuch"), &errors));
    buf_append_byte(&errors, '\0');
    const char *told = buf_view(&errors).data;
    cr_assert(strstr(told, "f:2: Duplicate user 'c' found") != NULL, "%s", told);
    cr_assert(strstr(told, "f:3: should start with user keyword") != NULL, "%s", told);
    cr_assert(strstr(told, "f:4: Error in applying operation '+nosuch'") != NULL, "%s", told);
    cr_assert_null(acl_find(node, BYTES("c")));
    cr_assert_not_null(acl_find(node, BYTES("a")));
    buf_free(&errors);
    buf_free(&text);
}

static int waiting(void)
{
    int count = 0;
    list_each(at_client, &node->clients) count +=
        (list_entry(at_client, struct client, link)->flags & CLIENT_SUSPENDED) != 0;
    return count;
}

// Who asks for it is answered, and goes like others whose channels went.
Test(acl_config, who_loses_a_channel_by_a_load_goes, .fini = node_rig_end)
{
    char path[] = "/tmp/wherry-users-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    start("aclfile", path);
    cr_assert_gt(dprintf(fd, "user default on nopass ~* resetchannels +@all\n"), 0);
    close(fd);
    say(0, "HELLO 3");
    sim_run_for(sim, 10000);
    peer_consume(client[0], peer_input(client[0]).len);
    run(0, "SUBSCRIBE a", ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    run(0, "ACL LOAD", "+OK\r\n");
    unlink(path);
    gone(0);
    run(1, "PING", "+PONG\r\n");
}

// What a thread does for a node outlives it.
Test(acl_config, a_node_goes_while_its_users_are_read)
{
    start("aclfile", "/dev/null");
    say(0, "ACL LOAD");
    say(1, "ACL LOAD");
    while (waiting() < CLIENTS)
        cr_assert(sim_step(sim));
    for (int i = 0; i < CLIENTS; i++)
        peer_free(client[i]);
    node_free(node);
    sim_run_for(sim, 1000000);
    sim_free(sim);
}

// ---- the log ------------------------------------------------------------------------------------

Test(acl, the_same_denial_is_counted)
{
    run(0, "ACL SETUSER u on nopass +@all -get", "+OK\r\n");
    run(1, "AUTH u x", "+OK\r\n");
    for (int i = 0; i < 3; i++)
        run(1, "GET k", "-NOPERM this user has no permissions to run the 'get' command\r\n");
    run(1, "SET k v", NO_KEY);
    cr_assert_eq(node->acl->log_count, 2);
    const struct acl_event *e = list_entry(node->acl->log.next, struct acl_event, link);
    cr_assert_eq(e->verdict, ACL_NO_KEY);
    e = list_entry(e->link.next, struct acl_event, link);
    cr_assert_eq(e->count, 3);
    run(0, "ACL LOG RESET", "+OK\r\n");
    cr_assert_eq(node->acl->log_count, 0);
}
