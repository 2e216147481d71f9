// Preloaded into the authorization server of a test (`node --import`): prints each answer of its token endpoint as
// `tokens {…}`, so that the test knows the very tokens it must never see in the browser.
import http from "node:http";

const end = http.ServerResponse.prototype.end;
http.ServerResponse.prototype.end = /** @type {typeof end} */ (function (/** @type {any[]} */ ...args) {
  const [body] = args;
  const isToken = this.req?.url?.startsWith("/token") && this.req.method === "POST";
  if (isToken && this.statusCode === 200 && body) {
    process.stdout.write(`tokens ${JSON.stringify(JSON.parse(String(body)))}\n`);
  }
  return Reflect.apply(end, this, args);
});
