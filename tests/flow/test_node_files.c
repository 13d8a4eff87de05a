// Small files that a node replaces whole: its configuration and its users. What can't be read is
// not replaced, and what several clients ask for happens in the order in which they asked. In
// virtual time, on files of the system.
#include "base/mem.h"
#include "node/acl.h"

enum { CLIENTS = 3, WORK_US = 5000 };
#include "node_rig.h"

#include <sys/stat.h>
#include <unistd.h>

static char folder[64], path[128];

static void begin(void)
{
    snprintf(folder, sizeof(folder), "/tmp/wherry-files-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/file", folder);
    struct config config;
    node_rig_config(&config);
    node_rig_new(&config);
    node_rig_start();
    sim_set_work(sim, WORK_US, WORK_US);
}

static void end(void)
{
    node_rig_end();
    if (unlink(path) != 0) rmdir(path);
    cr_assert_eq(rmdir(folder), 0, "something was left in %s", folder);
}

TestSuite(node_files, .init = begin, .fini = end);

static void use(char **directive)
{
    mem_free(*directive);
    *directive = memcpy(mem_alloc(strlen(path) + 1), path, strlen(path) + 1);
}

static void put(const char *text)
{
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    cr_assert_geq(fputs(text, f), 0);
    cr_assert_eq(fclose(f), 0);
}

static bool holds(const char *part)
{
    char text[65536];
    FILE *f = fopen(path, "r");
    cr_assert_not_null(f);
    size_t len = fread(text, 1, sizeof(text) - 1, f);
    text[len] = '\0';
    fclose(f);
    return strstr(text, part) != NULL;
}

// ---- CONFIG REWRITE -----------------------------------------------------------------------------

static void rewrite_fails(const char *what, const char *why)
{
    char answer[512];
    snprintf(answer, sizeof(answer), "-ERR Rewriting config file: can't %s '%s': %s\r\n", what,
             path, why);
    run(0, "CONFIG REWRITE", answer);
}

// Root may read whatever has a mode, but not this.
Test(node_files, a_configuration_that_can_not_be_opened_stays)
{
    use(&node->config.config_file);
    cr_assert_eq(symlink(path, path), 0);
    rewrite_fails("open", "Too many levels of symbolic links");
    struct stat st;
    cr_assert_eq(lstat(path, &st), 0);
    cr_assert(S_ISLNK(st.st_mode), "it was replaced");
}

Test(node_files, a_configuration_that_can_not_be_read_stays)
{
    use(&node->config.config_file);
    cr_assert_eq(mkdir(path, 0700), 0);
    rewrite_fails("read", "Is a directory");
}

Test(node_files, a_configuration_that_is_not_there_is_written)
{
    use(&node->config.config_file);
    run(0, "CONFIG SET maxclients 77", "+OK\r\n");
    run(0, "CONFIG REWRITE", "+OK\r\n");
    cr_assert(holds("maxclients 77\n"));
}

// ---- ACL LOAD and ACL SAVE ----------------------------------------------------------------------

#define DEFAULT "user default on nopass ~* &* +@all\n"

static void begin_users(void)
{
    begin();
    use(&node->config.aclfile);
    put(DEFAULT "user filed on nopass ~* &* +@all\n");
    run(2, "ACL SETUSER said on nopass ~* +@all", "+OK\r\n");
}

TestSuite(node_users, .init = begin_users, .fini = end);

// In this order, the second while the first is at work.
static void ask_both(const char *first, const char *second)
{
    say(0, first);
    sim_run_for(sim, WORK_US / 10);
    say(1, second);
    sim_run_for(sim, WORK_US / 10);
    cr_assert_eq(peer_input(client[0]).len, 0, "%s is over already", first);
}

static void expect_users(bool filed, bool said)
{
    cr_assert_eq(acl_find(node, BYTES("filed")) != NULL, filed);
    cr_assert_eq(acl_find(node, BYTES("said")) != NULL, said);
    cr_assert_eq(holds("user filed "), filed, "the file and the node don't agree");
    cr_assert_eq(holds("user said "), said, "the file and the node don't agree");
}

Test(node_users, a_save_behind_a_load_writes_what_was_loaded)
{
    ask_both("ACL LOAD", "ACL SAVE");
    hear(0, "+OK\r\n");
    hear(1, "+OK\r\n");
    expect_users(true, false);
}

Test(node_users, a_load_behind_a_save_reads_what_was_saved)
{
    ask_both("ACL SAVE", "ACL LOAD");
    hear(0, "+OK\r\n");
    hear(1, "+OK\r\n");
    expect_users(false, true);
}

Test(node_users, both_in_a_transaction_keep_their_order)
{
    run(0, "MULTI", "+OK\r\n");
    run(0, "ACL LOAD", "+QUEUED\r\n");
    run(0, "ACL SAVE", "+QUEUED\r\n");
    run(0, "EXEC", "*2\r\n+OK\r\n+OK\r\n");
    sim_run_for(sim, 4 * WORK_US);
    expect_users(true, false);
}

Test(node_users, a_load_that_fails_leaves_the_save_behind_it)
{
    put("nonsense\n");
    ask_both("ACL LOAD", "ACL SAVE");
    sim_run_for(sim, 4 * WORK_US);
    cr_assert(peer_input(client[0]).len > 4 && memcmp(peer_input(client[0]).data, "-ERR", 4) == 0);
    hear(1, "+OK\r\n");
    expect_users(false, true);
}

// It goes with its user, and what it asked for is done all the same.
Test(node_users, who_waits_to_save_may_go_by_the_load_before)
{
    run(1, "AUTH said x", "+OK\r\n");
    ask_both("ACL LOAD", "ACL SAVE");
    say(2, "ACL LOAD");
    hear(0, "+OK\r\n");
    hear(2, "+OK\r\n");
    cr_assert_eq(client[1]->closes, 1);
    cr_assert_eq(peer_input(client[1]).len, 0);
    expect_users(true, false);
}
