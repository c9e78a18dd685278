/* proxy.h - which proxy a URL is asked through; private to http/
 *
 * The variables are those that curl, wget and Go know; lower case counts first:
 * https_proxy or http_proxy by the URL's scheme, else all_proxy. HTTP_PROXY is
 * not believed in a CGI program (REQUEST_METHOD is set), where a client can set
 * it. Loopback is always asked directly, and what no_proxy lists, separated by
 * commas or spaces: "*", a name with all names below it ("example.com" or
 * ".example.com"), an address, a network (10.0.0.0/8, fd00::/8); ":port" ties
 * an entry to that port.
 */
#pragma once

#include "http/url.h"

/* A proxy as the environment writes it, with its password, or NULL. */
const char *oci_proxy_for(const struct oci_url *url);
/* Does a list as in no_proxy name this URL? */
bool oci_proxy_excepts(const char *no_proxy, const struct oci_url *url);
