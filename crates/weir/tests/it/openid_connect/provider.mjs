// An OpenID provider for the tests: the package oidc-provider, with one client, one person, and doors to turn its keys over
// and to see what it was asked.
//
// node provider.mjs FOLDER REDIRECT_URI LIFE: FOLDER holds server.crt and server.key; access tokens live for LIFE seconds.
// It writes its port on a line of its own when it is ready.
import { createRequire } from 'node:module';
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { pathToFileURL } from 'node:url';

const [folder, redirect, life] = process.argv.slice(2);
const require = createRequire(`${process.env.PROVIDER_FOLDER}/`);
const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));
const read = (name) => readFileSync(`${folder}/${name}`);
const server = createServer({ cert: read('server.crt'), key: read('server.key') });
const counts = { keys: 0, refreshed: 0, introspected: 0, revoked: 0 };
let callback, issuer, generation = 0;

function jwks() {
  generation += 1;
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
  return { keys: [{ ...rsa, kid: `rsa-${generation}`, use: 'sig' }, { ...ec, kid: `ec-${generation}`, use: 'sig' }] };
}

function start() {
  const format = (resource) => (resource === 'urn:opaque' ? 'opaque' : 'jwt');
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'weir',
      client_secret: 'a secret with : and % and +',
      redirect_uris: [redirect],
      post_logout_redirect_uris: ['https://bye.test/'],
      grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
    }],
    jwks: jwks(),
    cookies: { keys: ['of the tests'] },
    scopes: ['openid', 'email', 'read', 'write'],
    claims: { openid: ['sub'], email: ['email', 'groups'] },
    conformIdTokenClaims: false,
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@weir.test`, groups: ['staff', 'night'] }),
    }),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:api',
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource) => ({
          scope: 'read write', audience: 'api', accessTokenFormat: format(resource), accessTokenTTL: Number(life),
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
    issueRefreshToken: () => true,
    rotateRefreshToken: true,
    pkce: { required: () => true },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    loadExistingGrant: async (ctx) => {
      const grant = new ctx.oidc.provider.Grant({
        clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId,
      });
      grant.addOIDCScope('openid email');
      grant.addResourceScope('urn:api', 'read');
      await grant.save();
      return grant;
    },
    ttl: { AccessToken: Number(life), ClientCredentials: Number(life), IdToken: 3600, RefreshToken: 3600 },
  });
  provider.on('server_error', (_, error) => console.error(error));
  provider.on('grant.error', (_, error) => console.error(error.error, error.error_detail ?? error.error_description));
  const asked = provider.callback();
  callback = (request, response) => {
    const url = new URL(request.url, issuer);
    if (url.pathname.startsWith('/interaction/')) {
      return provider.interactionFinished(request, response, { login: { accountId: 'alice' } });
    }
    if (url.pathname === '/jwks') counts.keys += 1;
    if (url.pathname === '/token/introspection') counts.introspected += 1;
    if (url.pathname === '/token/revocation') counts.revoked += 1;
    return asked(request, response);
  };
  provider.on('refresh_token.consumed', () => { counts.refreshed += 1; });
}

server.on('request', (request, response) => {
  if (request.url === '/test/rotate') {
    start();
    return response.end();
  }
  if (request.url === '/test/counts') return response.end(JSON.stringify(counts));
  return callback(request, response);
});
server.listen(0, '127.0.0.1', () => {
  issuer = `https://localhost:${server.address().port}`;
  start();
  console.log(server.address().port);
});
// Whoever started this reads no more than the port; the package has notices of its own to write.
process.stdout.on('error', () => {});
process.stdin.on('end', () => process.exit(0)).resume();
